"""Lines of xtrack that several tests of the Xsuite adapter track."""

from __future__ import annotations

import xtrack as xt


def transfer_line() -> xt.Line:
    """A transfer line, which is periodic in nothing, with a bend and faces."""
    env = xt.Environment()
    env.particle_ref = xt.Particles("proton", kinetic_energy0=160e6)
    env["kq"] = 0.3
    env.new("qf", "Quadrupole", length=0.5, k1="kq")
    env.new("qd", "Quadrupole", length=0.5, k1="-kq")
    env.new("b", "Bend", length=1.1, angle=0.1, edge_entry_angle=0.05, num_multipole_kicks=7)
    env.new("d", "Drift", length=1.3)
    env.new("m", "Marker")
    env.new("ap", "LimitEllipse", a=0.1, b=0.1)
    return env.new_line(name="transfer", components=["qf", "d", "m", "b", "ap", "d", "qd", "d"])
