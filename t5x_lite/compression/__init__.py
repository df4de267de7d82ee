"""Making a trained model smaller: teachers and the students that are made of them."""
