"""Power cuts under the real store code, in one process: the campaign behind `rushproof power-cuts`.

recording   what real devices, a register and a display write: taken from a whole store in virtual time
stores      the three stores that hold promises, behind one face
machine     a process on a disk, through kills and errors, until the power goes: what it was told and what it then finds
lane        one workload with its settings, and how many operations it comes to
cut         one numbered cut: where the power goes, what is left, what the next boots find
campaign    many cuts on several processes, their totals and the verdict
"""
