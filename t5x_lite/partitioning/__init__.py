"""Logical axes to devices: mesh, rules, shardings, processes; knows no model."""
