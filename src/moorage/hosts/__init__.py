"""What we know of hosts: who they are, whether they are alive."""
