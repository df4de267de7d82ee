"""Steps that are not sound: found on the devices, explained, run again, left out."""
