"""What a request may ask for besides a picture from noise: each with its checks, and as the job has it."""
