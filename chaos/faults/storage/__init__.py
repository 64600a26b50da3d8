"""Faults of disks, under SQLite and so under the real store code.

    disk            a disk in memory that knows what is synced and what is not, and loses its power at a chosen operation
    power_loss      which of the unsynced operations the next boot finds done
    troubles        a full disk, I/O errors, stalls, the end of the process
    simulated       such disks mounted at folders of this process, for SQLite to use
    faulty_files    the same troubles on real files, for a real process

`refsystem.volatile_files` does another job: there a real process is killed, on real files, and loses all that is not synced.
"""
