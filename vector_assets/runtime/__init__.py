"""What runs on this machine: the home folder, the embedded Postgres, ports, child processes, the guard."""
