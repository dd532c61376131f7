"""Types of Bmad elements, and attributes that no particle notices."""

from __future__ import annotations

from sc_bridge.errors import LatticeError

CONTROLS = frozenset({"overlay", "group", "girder", "ramper", "feedback"})
TYPES = frozenset(
    {
        "ab_multipole", "ac_kicker", "beambeam", "beginning_ele", "capillary", "converter",
        "crab_cavity", "crystal", "custom", "detector", "diffraction_plate", "drift", "e_gun",
        "ecollimator", "elseparator", "em_field", "feedback", "fiducial", "floor_shift", "foil",
        "fork", "gkicker", "girder", "group", "hkicker", "hybrid", "instrument", "kicker",
        "lcavity", "lens", "marker", "mask", "match", "mirror", "monitor", "multilayer_mirror",
        "multipole", "null_ele", "octupole", "overlay", "patch", "photon_fork", "photon_init",
        "pickup", "pipe", "quadrupole", "ramper", "rbend", "rcollimator", "rf_bend", "rfcavity",
        "sad_mult", "sample", "sbend", "sextupole", "sol_quad", "solenoid", "taylor",
        "thick_multipole", "undulator", "vkicker", "wiggler",
    }
)  # fmt: skip
_SHORTEST = 4  # characters of an abbreviated type

# Pseudo elements: `parameter[p0c] = 1e9`
GLOBAL = frozenset(
    {
        "parameter", "beginning", "beam_start", "particle_start", "beam", "bmad_com", "ptc_com",
        "space_charge_com", "root", "line_ele", "global",
    }
)  # fmt: skip

# Their values are words or files, not numbers.
WORDS = frozenset(
    {
        "type", "alias", "descrip", "particle", "geometry", "lattice", "machine", "ref",
        "ele_origin", "ref_origin", "aperture_at", "aperture_type", "field_calc",
        "tracking_method", "fringe_type", "mat6_calc_method", "spin_tracking_method",
        "ptc_integration_type", "ptc_fringe_geometry", "fringe_at", "cavity_type", "csr_method",
        "space_charge_method", "interpolation", "species_out", "to_line", "to_element",
        "direction", "fiducial_pt", "higher_order_fringe_type", "default_tracking_species",
        "photon_type", "live_branch", "origin_ele", "origin_ele_ref_pt", "ref_coordinates",
        "longitudinal_mode", "exact_multipoles", "kill_fringe", "coupler_at", "root_branch_name",
        "superimpose", "reference", "file", "matrix", "kick0", "delta_time", "recalc",
        "taylor_order", "gang", "wall", "sr_wake", "lr_wake", "sr_wake_file", "lr_wake_file",
        "cartesian_map", "cylindrical_map", "grid_field", "gen_grad_map", "field", "mode", "map",
        "surface", "curvature", "displacement", "h_misalign", "energy_probability_curve",
    }
)  # fmt: skip

# Bookkeeping, numerics, and what only other programs or graphics read.
NO_PHYSICS = frozenset(
    {
        "type", "alias", "descrip", "tracking_method", "mat6_calc_method", "field_calc",
        "num_steps", "ds_step", "integrator_order", "spin_tracking_method", "symplectify",
        "field_master", "ptc_integration_type", "ptc_fringe_geometry", "ptc_canonical_coords",
        "fringe_type", "n_cell", "autoscale_amplitude", "autoscale_phase", "scale_multipoles",
        "multipoles_on", "static_linear_map", "taylor_map_includes_offsets",
        "offset_moves_aperture", "superimpose", "ref", "offset", "ele_origin", "ref_origin",
        "wrap_superimpose", "create_jumbo_slave", "reference", "lord_pad1", "lord_pad2",
        "ref_time_offset", "aperture_at", "aperture_type", "polarity", "r0_mag", "l_hard_edge",
        "longitudinal_mode", "direction", "to_line", "to_element", "new_branch",
        "multipass_ref_energy", "is_mosaic", "exact_multipoles", "interpolation", "csr_ds_step",
        "ds_slice", "n_ref_pass", "p0c", "e_tot", "spin_fringe_on", "field_autoscale",
        "phi0_autoscale", "integrator_type", "crunch", "crunch_calib", "x_gain_err", "y_gain_err",
        "x_gain_calib", "y_gain_calib", "tilt_calib", "x_offset_calib", "y_offset_calib", "noise",
        "de_eta_meas", "n_sample", "osc_amplitude", "x_dispersion_err", "y_dispersion_err",
        "x_dispersion_calib", "y_dispersion_calib", "ref_wall", "mark_type", "l_chord_ref",
        "recalc", "gang", "slave", "calib_gain_x", "calib_gain_y",
    }
)  # fmt: skip


def type_of(word: str, place: str) -> str | None:
    """Return the type that a word names, possibly abbreviated; None if it names none.

    Raises
    ------
    LatticeError
        If it could be several.
    """
    if word in TYPES:
        return word
    found = [name for name in sorted(TYPES) if len(word) >= _SHORTEST and name.startswith(word)]
    if len(found) > 1:
        raise LatticeError(f"{place}: type {word!r} could be {', '.join(found)}: write one in full")
    return found[0] if found else None
