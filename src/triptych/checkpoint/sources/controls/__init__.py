"""What stands beside a UNet and looks at pictures, from folders and from single files."""
