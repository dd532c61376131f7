"""Programs: kernels and gradients by hand against the operations on tensors of the elements."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cases import CASE_IDS, CASES, make_reference, random_bunch
from sc_bridge import elements
from sc_bridge.elements import Bunch, Element, Reference, blocks, kernels, program
from sc_bridge.elements.passing import move_through

pytestmark = pytest.mark.usefixtures("two_threads")

# Of coordinates and their gradients; lengths of paths, of order 1, are added and taken off.
ROUNDOFF = {torch.float64: 1e-14, torch.float32: 1e-5}
# Of gradients by what all particles share: sums of some thousand terms, which partly cancel in
# the way from the numbers of a frame to its angle.
SUMS = 1e-9
SECOND = 1e-9  # of derivatives of derivatives, relative to the largest
# More than a block, and not a multiple of anything.
MANY = 2 * program.FEW + 3
# Fields of which no derivative exists, and those that take a magnet out of its plane.
LEFT_OUT = ("harmonic", "line_length", "shift_", "rot_")
# Cases that are rows of moves, one at least of every kind of move.
ROWS: dict[str, Element] = {
    "drift": elements.Drift(length=0.7),
    "exact drift": elements.Drift(length=0.7, model="exact"),
    "quadrupole": elements.Quadrupole(length=0.4, k1=0.9, k1s=0.3, knl=[0.0, 0.0, 1.0]),
    "strong quadrupole": elements.Quadrupole(length=1.5, k1=-30.0),
    "multipole": elements.Multipole(
        knl=[1e-3, 0.1, 3.0, 5.0, 7.0], ksl=[0.0, 0.05, 0.0, 0.0, 0.0, 9.0], hxl=0.02, length=0.3
    ),
    "bend": elements.Bend(length=1.6, angle=0.1, edge_entry_angle=0.05, num_multipole_kicks=7),
    "combined bend": elements.Bend(length=0.8, angle=0.06, k0=0.07, k1=0.3, num_multipole_kicks=2),
    "solenoid": elements.UniformSolenoid(length=1.0, ks=0.3, x0=1e-3),
    "strong solenoid": elements.UniformSolenoid(length=1.5, ks=9.0),
    "tilted": elements.Sextupole(length=0.3, k2=4.0, rot_s_rad=0.3, shift_x=1e-3, shift_y=2e-3),
    "rotation": elements.SRotation(angle=10.0),
}
every_row = pytest.mark.parametrize("name", ROWS)
ROW_CASES = [
    pytest.param(kind, kwargs, id=name)
    for name, (kind, _, kwargs) in zip(CASE_IDS, CASES, strict=True)
    if kind(**kwargs).moves(torch.zeros(1, dtype=torch.float64)) is not None
]
# Classes of which every case without a fringe field, a turn out of the plane, or an exact path
# in a matrix is a row of moves.
ROW_CLASSES = {
    elements.Drift,
    elements.DriftExact,
    elements.Device,
    elements.Marker,
    elements.Quadrupole,
    elements.Sextupole,
    elements.Octupole,
    elements.Multipole,
    elements.Bend,
    elements.RBend,
    elements.Magnet,
    elements.DipoleEdge,
    elements.UniformSolenoid,
    elements.VariableSolenoid,
    elements.SRotation,
    elements.XYShift,
    elements.ZetaShift,
    elements.TimeDelay,
}


@pytest.fixture(autouse=True)
def _by_kernels():
    assert kernels.load() is not None, "this machine has a C compiler: the kernels must build"


def particles(n: int = MANY, scale: float = 0.02) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return scale * torch.randn(6, n, dtype=torch.float64, generator=generator)


def upstream(like: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(like.shape, dtype=torch.float64, generator=generator).to(like.dtype)


def by_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "takes", lambda coordinates, reference: False)


def everything(element: Element, coordinates: Tensor) -> dict[str, Tensor]:
    """What comes out, and its gradient by coordinates, reference and all fields."""
    base, bends = make_reference(), "exact" in (getattr(element, "model", ""),)
    fields = {} if bends and hasattr(element, "k0") else dict(element.named_parameters())
    fields = {n: p for n, p in fields.items() if not n.startswith(LEFT_OUT)}
    given = {"mass0": base.mass0.clone(), "p0c": base.p0c.clone(), **fields}
    given = {"coordinates": coordinates.detach().clone(), **given}
    for value in given.values():
        value.requires_grad_()
    reference = Reference(given["mass0"], base.q0, given["p0c"])
    out = element.track(Bunch(given["coordinates"], reference)).coordinates
    found = torch.autograd.grad(out, list(given.values()), upstream(out), allow_unused=True)
    for field in fields.values():
        field.requires_grad_(False)
    zeros = (
        torch.zeros_like(v) if g is None else g for g, v in zip(found, given.values(), strict=True)
    )
    return {"out": out.detach(), **dict(zip(given, zeros, strict=True))}


@pytest.mark.parametrize(("kind", "kwargs"), ROW_CASES)
def test_programs_equal_operations_on_tensors(kind, kwargs, monkeypatch):
    coordinates = random_bunch(program.FEW).coordinates
    found = everything(kind(**kwargs), coordinates)
    by_operations(monkeypatch)
    for key, expected in everything(kind(**kwargs), coordinates).items():
        tolerance = ROUNDOFF[torch.float64] if key in ("out", "coordinates") else SUMS
        scale = max(1.0 if key in ("out", "coordinates") else 1e-3, expected.abs().max().item())
        assert (found[key] - expected).abs().max() < tolerance * scale, key


def test_classes_without_a_fringe_field_are_rows_of_moves():
    assert {case.values[0] for case in ROW_CASES} >= ROW_CLASSES


@every_row
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("batch", [(), (2, 2)])
def test_kernels_equal_operations_in_every_precision_and_batch(monkeypatch, name, dtype, batch):
    coordinates = particles().to(dtype).expand(*batch, 6, MANY)
    element = ROWS[name]
    for track in (element.track, element.inverse().track):
        results = []
        for kernel in (True, False):
            with monkeypatch.context() as patch:
                if not kernel:
                    patch.setattr(kernels, "load", lambda: None)
                wanted = coordinates.clone().requires_grad_()
                out = track(Bunch(wanted, make_reference())).coordinates
                without = track(Bunch(coordinates, make_reference())).coordinates
                assert torch.equal(out.detach(), without)
                results.append((without, *torch.autograd.grad(out, wanted, upstream(out))))
        for mine, theirs in zip(*results, strict=True):
            assert mine.dtype == dtype
            assert (mine - theirs).abs().max() < ROUNDOFF[dtype] * max(1.0, theirs.abs().max())


@every_row
def test_a_program_keeps_nothing_for_its_gradient_that_the_bunch_does_not_hold(name):
    element, kept = ROWS[name], {}
    bunch = Bunch(particles().requires_grad_(), make_reference())

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        element.track(bunch)
    del kept[bunch.coordinates.untyped_storage().data_ptr()]
    assert sum(kept.values()) < 1000 * 8 < MANY * 8  # numbers of the program


@pytest.mark.parametrize("name", [name for name in ROWS if name != "rotation"])  # which is linear
def test_gradients_by_programs_can_be_differentiated_again(monkeypatch, name):
    element, found = ROWS[name], []
    fields = [p for n, p in element.named_parameters() if n in ("length", "k1", "k2", "ks")]
    for plain in (False, True):
        if plain:
            by_operations(monkeypatch)
        coordinates = particles(program.FEW).requires_grad_()
        for field in fields:
            field.requires_grad_()
        out = element.track(Bunch(coordinates, make_reference())).coordinates
        inputs = [coordinates, *fields]
        first = torch.autograd.grad(out, inputs, upstream(out), create_graph=True)
        total = sum(torch.sin(gradient).sum() for gradient in first)
        found.append(torch.autograd.grad(total, inputs))
        for field in fields:
            field.requires_grad_(False)
    for mine, theirs in zip(*found, strict=True):
        assert (mine - theirs).abs().max() < SECOND * max(1.0, theirs.abs().max().item())


@every_row
def test_many_gradients_at_a_time_equal_one_by_one(name):
    element, coordinates = ROWS[name], particles().requires_grad_()
    out = element.track(Bunch(coordinates, make_reference())).coordinates
    several = torch.stack([upstream(out), torch.ones_like(out)])
    together = torch.autograd.grad(
        out, coordinates, several, is_grads_batched=True, retain_graph=True
    )[0]
    for index, one in enumerate(several):
        alone = torch.autograd.grad(out, coordinates, one, retain_graph=True)[0]
        assert (together[index] - alone).abs().max() < 1e-12 * alone.abs().max()


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@every_row
def test_forward_mode_and_transforms_take_operations_on_tensors(name):
    element, coordinates, direction = ROWS[name], particles(), upstream(particles())

    def out(rows: Tensor) -> Tensor:
        return element.track(Bunch(rows, make_reference())).coordinates

    _, slope = torch.func.jvp(out, (coordinates,), (direction,))
    step = 1e-6
    difference = out(coordinates + step * direction) - out(coordinates - step * direction)
    assert (slope - difference / (2.0 * step)).abs().max() < 1e-6 * slope.abs().max()


def test_a_row_of_elements_is_one_program_and_splits_where_it_must(monkeypatch):
    cavity = elements.Cavity(voltage=1e5, frequency=2e6)
    row = [ROWS["drift"], ROWS["quadrupole"], cavity, ROWS["bend"], ROWS["solenoid"]]
    coordinates, runs = particles(), []
    alone = coordinates
    for element in row:
        alone = move_through((element,), alone, make_reference())
    run = program.run
    monkeypatch.setattr(
        program, "run", lambda moves, *rest: runs.append(moves) or run(moves, *rest)
    )
    together = move_through(row, coordinates, make_reference())
    assert len(runs) == 2 and len(runs[0]) == 4
    assert (together - alone).abs().max() < 1e-15
    back = move_through(row, together, make_reference(), backwards=True)
    assert (back - coordinates).abs().max() < 1e-13


def test_a_batch_of_numbers_is_left_to_operations_on_tensors(monkeypatch):
    monkeypatch.setattr(program, "_move", lambda *_: pytest.fail("one program for a batch"))
    bunch = Bunch(particles(), make_reference())
    element = elements.Quadrupole(length=0.4, k1=torch.tensor([0.7, -0.7]))
    out = element.track(bunch).coordinates
    few = Bunch(particles()[:, :9], make_reference())
    assert (out[:, :, :9] - element.track(few).coordinates).abs().max() < 1e-15
    slower = Reference(938e6, 1.0, torch.tensor([5e8, 6e8], dtype=torch.float64))
    assert ROWS["quadrupole"].track(bunch.replace(reference=slower)).coordinates.shape[0] == 2


def test_a_batch_of_fields_is_tracked_in_blocks(monkeypatch):
    bunch = Bunch(particles(), make_reference())
    element = elements.Quadrupole(length=0.4, k1=torch.tensor([0.7, -0.7]))
    whole = element.track(bunch).coordinates
    monkeypatch.setattr(blocks, "_SHARE", 64)
    assert torch.equal(element.track(bunch).coordinates, whole)


@pytest.mark.parametrize("name", ["drift", "exact drift", "bend", "solenoid"])
def test_a_particle_that_cannot_fly_is_no_number_on_either_path(monkeypatch, name):
    coordinates = particles()
    coordinates[1, 5] = 2.0  # across, if exact
    coordinates[5, 7] = -2.0  # less energy than its rest
    by_kernel = ROWS[name].track(Bunch(coordinates, make_reference())).coordinates
    by_operations(monkeypatch)
    by_torch = ROWS[name].track(Bunch(coordinates, make_reference())).coordinates
    assert torch.equal(by_kernel.isnan(), by_torch.isnan())
    assert by_kernel[0].isnan().any()


def test_results_past_the_caches_and_many_moves_change_no_bit(monkeypatch):
    bunch = Bunch(particles(), make_reference())
    for element in (ROWS["drift"], ROWS["bend"]):
        expected = element.track(bunch).coordinates
        with monkeypatch.context() as patch:
            patch.setattr(program, "_STREAMED", 0)
            assert torch.equal(element.track(bunch).coordinates, expected)


def test_a_gradient_that_comes_in_pieces_is_laid_out_first():
    coordinates = particles().requires_grad_()
    ROWS["bend"].track(Bunch(coordinates, make_reference())).coordinates.sum().backward()
    few = coordinates[:, :9].detach().requires_grad_()
    ROWS["bend"].track(Bunch(few, make_reference())).coordinates.sum().backward()
    assert (coordinates.grad[:, :9] - few.grad).abs().max() < 1e-12


def test_lost_particles_stay_and_have_no_gradient():
    coordinates = particles()
    coordinates[:, 5] = torch.nan
    coordinates.requires_grad_()
    alive = torch.arange(MANY) != 5
    bunch = Bunch(coordinates, make_reference(), alive=alive)
    field = elements.Quadrupole(length=0.4, k1=torch.tensor(0.9, requires_grad=True))
    out = field.track(bunch).coordinates
    assert out[:, 5].isnan().all()
    out[:, alive].square().sum().backward()
    assert (coordinates.grad[:, 5] == 0.0).all() and torch.isfinite(field.k1.grad)


def test_a_small_bunch_compiles_nothing(monkeypatch):
    monkeypatch.setattr(kernels, "load", lambda: pytest.fail("kernels looked for"))
    bunch = Bunch(particles(program.FEW - 1).requires_grad_(), make_reference())
    ROWS["quadrupole"].track(bunch).coordinates.sum().backward()


def test_second_derivatives_by_a_reference_that_a_row_does_not_use_are_zero():
    base, coordinates = make_reference(), particles().requires_grad_()
    reference = Reference(base.mass0, base.q0, base.p0c.clone().requires_grad_())
    out = elements.Marker().track(Bunch(coordinates, reference)).coordinates
    inputs = (coordinates, reference.p0c)
    first, by_momentum = torch.autograd.grad(out.square().sum(), inputs, create_graph=True)
    assert by_momentum == 0.0
    (second,) = torch.autograd.grad(first.sum(), coordinates)
    assert torch.equal(second, torch.full_like(second, 2.0))


def test_gradients_by_more_strengths_than_a_word_has_bits():
    strengths = torch.zeros(40, dtype=torch.float64)
    element = elements.Multipole(knl=strengths.requires_grad_(), ksl=strengths)
    coordinates, found = particles(), []
    for size in (MANY, program.FEW // 2):
        element.zero_grad()
        for block in coordinates.split(size, dim=-1):
            out = element.track(Bunch(block, make_reference())).coordinates
            out.backward(torch.ones_like(out))
        found.append((element.knl.grad.clone(), element.ksl.grad.clone()))
    for mine, theirs in zip(*found, strict=True):
        assert (mine - theirs).abs().max() < 1e-12 * theirs.abs().max()


@pytest.mark.parametrize("n", [9, MANY])
def test_bunches_pass_in_inference_mode(n):
    element = elements.Quadrupole(length=0.4, k1=0.9, shift_x=1e-3)
    expected = element.track(Bunch(particles(n), make_reference()))
    with torch.inference_mode():
        bunch = element.track(Bunch(particles(n), make_reference()))
        lost = elements.LimitRect(max_x=0.0).track(bunch)
        assert bunch.is_whole and not lost.is_whole
        assert torch.equal(bunch.coordinates, expected.coordinates)
        assert torch.equal(element.inverse().track(lost).alive, lost.alive)
