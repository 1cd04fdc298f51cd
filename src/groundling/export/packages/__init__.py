"""What a trained model can be exported as: a file each, found by its name, with `pack(job, folder)`."""
