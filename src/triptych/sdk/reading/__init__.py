"""What pictures say of how they were made, whoever made them, as parameters for another one."""
