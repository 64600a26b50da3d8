"""The peak-hour model: what a scenario's evening does to diners, devices, cloud and kitchen, in virtual time. See README.md."""
