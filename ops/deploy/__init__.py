"""What installs Courier: compose, Kubernetes, systemd, Wazuh rules."""
