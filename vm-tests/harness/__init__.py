"""The scenarios of this folder without Nix: on systemd-nspawn containers and QEMU machines of Debian."""
