"""PALS documents of the Los Alamos PSR, in the newest form of the standard and in older ones."""

from __future__ import annotations

# The numbers of the MAD-X file in the corpus; one cell by inheritance, ten by repetition.
PSR = """
PALS:
  version: null
  facility:
    - begin: {kind: BeginningEle, ReferenceP: {species_ref: proton, pc_ref: 1.4597908e9}}
    - d1: {kind: Drift, length: 2.28646}
    - d2: {kind: Drift, length: 0.45}
    - q1: {kind: Quadrupole, length: 0.5, MagneticMultipoleP: {Kn1: -0.55040428581}}
    - q2: {inherit: q1, MagneticMultipoleP: {Kn1: 0.40048073035}}
    - b1: {kind: SBend, length: 2.54948, BendP: {angle_ref: 36 * pi / 180}}
    - cell: {kind: BeamLine, line: [d1, q1, d2, b1, d2, q2, d1]}
    - ring1: {kind: BeamLine, periodic: true, line: [begin, cell: {repeat: 10}]}
    - psr: {kind: Lattice, branches: [ring1]}
    - use: psr
"""
# The same in the forms of older drafts: a bare list, names within, the kind as the key.
OLD_PSR = """
- Drift: {name: d1, length: 2.28646}
- Drift: {name: d2, length: 0.45}
- name: q1
  kind: Quadrupole
  length: 0.5
  MagneticMultipoleP: {Kn1L: -0.275202142905}
- q2:
  kind: Quadrupole
  length: 0.5
  MagneticMultipoleP: {Kn1: 0.40048073035}
- b1: {kind: SBend, length: 2.54948, BendP: {g_ref: 36 * pi / 180 / 2.54948}}
- BeamLine: {name: cell, line: [d1, q1, d2, b1, d2, q2, d1]}
- BeamLine: {name: ring1, line: [cell: {repeat: 10}]}
"""
