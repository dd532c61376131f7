"""Kernels of the particles' part of the kick for GPUs, in Triton.

One program takes a block of particles of one bunch, and goes over the nodes that each of them
touches: 2 (cloud-in-cell) or 3 (triangular-shaped cloud) along each axis. Sums on nodes and over
particles are atomic, so that their last digit differs from run to run.

Names: `t` is the pointer to nine numbers of a bunch (cells per metre, cells from the centre to the
last node, factor of the kick), `cx` a position in cells, `fx` the first node touched, `ux` the place
of the particle between nodes, `ix` whether all of its nodes along x are in the grid. The Python
side is `triton_operations`.
"""

# ruff: noqa: E501
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false
# Triton compiles these functions: they know neither keyword-only arguments nor exceptions.
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]


@triton.jit
def _living(alive, has_lost: tl.constexpr, index, there):
    """Which particles of a block are there and not lost."""
    if has_lost:
        return there & (tl.load(alive + index, mask=there, other=0) != 0)
    return there


@triton.jit
def _cell(row, stride, axis: tl.constexpr, index, living, centre, t):
    """Position along an axis in cells; that of a lost particle is the middle of the grid."""
    value = tl.load(row + 2 * axis * stride + index, mask=living, other=0.0)
    middle = tl.load(centre + axis).to(value.dtype)
    offset = tl.where(living, value - middle, 0.0)
    return offset * tl.load(t + axis).to(value.dtype) + tl.load(t + 3 + axis).to(value.dtype)


@triton.jit
def _cells(row, stride, index, living, centre, t):
    cx = _cell(row, stride, 0, index, living, centre, t)
    cy = _cell(row, stride, 1, index, living, centre, t)
    cz = _cell(row, stride, 2, index, living, centre, t)
    return cx, cy, cz


@triton.jit
def _stencil(cell, n, touched: tl.constexpr):
    """First node touched along an axis, place between nodes, and whether all nodes are there."""
    if touched == 2:
        nearest = tl.floor(cell)
        first = nearest.to(tl.int32)
    else:
        nearest = tl.floor(cell + 0.5)
        first = nearest.to(tl.int32) - 1
    return first, cell - nearest, (first >= 0) & (first + touched <= n)


@triton.jit
def _weight(u, node: tl.constexpr, touched: tl.constexpr):
    if touched == 2:
        if node == 0:
            return 1.0 - u
        return u
    if node == 0:
        return 0.5 * (0.5 - u) * (0.5 - u)
    if node == 1:
        return 0.75 - u * u
    return 0.5 * (0.5 + u) * (0.5 + u)


@triton.jit
def _slope(u, node: tl.constexpr, touched: tl.constexpr):
    if touched == 2:
        if node == 0:
            return u * 0.0 - 1.0
        return u * 0.0 + 1.0
    if node == 0:
        return u - 0.5
    if node == 1:
        return -2.0 * u
    return u + 0.5


@triton.jit
def _difference(field, node, step, place, n, living):
    """Difference of the two neighbours of a node along an axis, 0 on the faces."""
    inner = living & (place > 0) & (place < n - 1)
    ahead = tl.load(field + node + step, mask=inner, other=0.0)
    behind = tl.load(field + node - step, mask=inner, other=0.0)
    return ahead - behind


@triton.jit
def deposit(
    coordinates, bunch_stride, stride, weight, weight_bunch, weight_step, alive, has_lost: tl.constexpr,
    centre, numbers, charge, outside, n, nx, ny, nz, reach: tl.constexpr, touched: tl.constexpr,
    block: tl.constexpr,
):  # fmt: skip
    """Add the weights of particles to the nodes, and count those that are too far out."""
    bunch = tl.program_id(1).to(tl.int64)
    index = tl.program_id(0) * block + tl.arange(0, block)
    living = _living(alive + bunch * n, has_lost, index, index < n)
    row, t = coordinates + bunch * bunch_stride, numbers + 9 * bunch
    cx, cy, cz = _cells(row, stride, index, living, centre + 3 * bunch, t)
    inside = (cx >= reach) & (cx <= nx - 1 - reach) & (cy >= reach) & (cy <= ny - 1 - reach)
    inside = inside & (cz >= reach) & (cz <= nz - 1 - reach)  # false for NaN
    tl.atomic_add(outside, tl.sum((living & (inside == 0)).to(tl.int32), 0))
    fx, ux, ix = _stencil(cx, nx, touched)
    fy, uy, iy = _stencil(cy, ny, touched)
    fz, uz, iz = _stencil(cz, nz, touched)
    here = living & ix & iy & iz
    value = tl.load(weight + bunch * weight_bunch + index * weight_step, mask=here, other=0.0)
    nodes = charge + bunch * nx * ny * nz
    for i in tl.static_range(touched):
        for j in tl.static_range(touched):
            share = value * _weight(ux, i, touched) * _weight(uy, j, touched)
            node = ((fx + i) * ny + fy + j) * nz + fz
            for k in tl.static_range(touched):
                tl.atomic_add(nodes + node + k, share * _weight(uz, k, touched), mask=here)


@triton.jit
def kick(
    coordinates, bunch_stride, stride, alive, has_lost: tl.constexpr, centre, numbers, potential,
    kicked, n, nx, ny, nz, touched: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Add factor times the differences of the potential to the momenta; (6, n) are written."""
    bunch = tl.program_id(1).to(tl.int64)
    index = tl.program_id(0) * block + tl.arange(0, block)
    there = index < n
    living = _living(alive + bunch * n, has_lost, index, there)
    row, t = coordinates + bunch * bunch_stride, numbers + 9 * bunch
    cx, cy, cz = _cells(row, stride, index, living, centre + 3 * bunch, t)
    fx, ux, ix = _stencil(cx, nx, touched)
    fy, uy, iy = _stencil(cy, ny, touched)
    fz, uz, iz = _stencil(cz, nz, touched)
    here = living & ix & iy & iz
    field = potential + bunch * nx * ny * nz
    sx, sy, sz = cx * 0.0, cx * 0.0, cx * 0.0
    for i in tl.static_range(touched):
        for j in tl.static_range(touched):
            across = _weight(ux, i, touched) * _weight(uy, j, touched)
            for k in tl.static_range(touched):
                share = across * _weight(uz, k, touched)
                node = ((fx + i) * ny + fy + j) * nz + fz + k
                sx += share * _difference(field, node, ny * nz, fx + i, nx, here)
                sy += share * _difference(field, node, nz, fy + j, ny, here)
                sz += share * _difference(field, node, 1, fz + k, nz, here)
    out = kicked + bunch * 6 * n
    for axis in tl.static_range(3):
        position = tl.load(row + 2 * axis * stride + index, mask=there, other=0.0)
        momentum = tl.load(row + (2 * axis + 1) * stride + index, mask=there, other=0.0)
        slope = sx
        if axis == 1:
            slope = sy
        if axis == 2:
            slope = sz
        change = tl.load(t + 6 + axis).to(slope.dtype) * slope
        momentum = tl.where(here, momentum + change, momentum)
        tl.store(out + 2 * axis * n + index, position, mask=there)
        tl.store(out + (2 * axis + 1) * n + index, momentum, mask=there)


@triton.jit
def adjoint_deposit(
    coordinates, bunch_stride, stride, alive, has_lost: tl.constexpr, centre, numbers, gradient,
    gradient_bunch, gradient_stride, source, size, n, nx, ny, nz, touched: tl.constexpr,
    block: tl.constexpr,
):  # fmt: skip
    """Add the gradients of the momenta, times the factors, to the nodes: three grids."""
    bunch = tl.program_id(1).to(tl.int64)
    index = tl.program_id(0) * block + tl.arange(0, block)
    living = _living(alive + bunch * n, has_lost, index, index < n)
    row, t = coordinates + bunch * bunch_stride, numbers + 9 * bunch
    cx, cy, cz = _cells(row, stride, index, living, centre + 3 * bunch, t)
    fx, ux, ix = _stencil(cx, nx, touched)
    fy, uy, iy = _stencil(cy, ny, touched)
    fz, uz, iz = _stencil(cz, nz, touched)
    here = living & ix & iy & iz
    incoming = gradient + bunch * gradient_bunch
    gx = tl.load(incoming + gradient_stride + index, mask=here, other=0.0)
    gy = tl.load(incoming + 3 * gradient_stride + index, mask=here, other=0.0)
    gz = tl.load(incoming + 5 * gradient_stride + index, mask=here, other=0.0)
    gx *= tl.load(t + 6).to(gx.dtype)
    gy *= tl.load(t + 7).to(gx.dtype)
    gz *= tl.load(t + 8).to(gx.dtype)
    nodes = source + bunch * nx * ny * nz
    for i in tl.static_range(touched):
        for j in tl.static_range(touched):
            across = _weight(ux, i, touched) * _weight(uy, j, touched)
            node = ((fx + i) * ny + fy + j) * nz + fz
            for k in tl.static_range(touched):
                share = across * _weight(uz, k, touched)
                tl.atomic_add(nodes + node + k, share * gx, mask=here)
                tl.atomic_add(nodes + size + node + k, share * gy, mask=here)
                tl.atomic_add(nodes + 2 * size + node + k, share * gz, mask=here)


@triton.jit
def adjoint_gather(
    coordinates, bunch_stride, stride, weight, weight_bunch, weight_step, alive,
    has_lost: tl.constexpr, centre, numbers, gradient, gradient_bunch, gradient_stride, potential,
    adjoint, result, weights, wants_weight: tl.constexpr, totals, n, nx, ny, nz,
    touched: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Gradient of coordinates and weights, and seven sums over particles."""
    bunch = tl.program_id(1).to(tl.int64)
    index = tl.program_id(0) * block + tl.arange(0, block)
    there = index < n
    living = _living(alive + bunch * n, has_lost, index, there)
    row, t = coordinates + bunch * bunch_stride, numbers + 9 * bunch
    cx, cy, cz = _cells(row, stride, index, living, centre + 3 * bunch, t)
    fx, ux, ix = _stencil(cx, nx, touched)
    fy, uy, iy = _stencil(cy, ny, touched)
    fz, uz, iz = _stencil(cz, nz, touched)
    here = living & ix & iy & iz
    incoming = gradient + bunch * gradient_bunch
    gx = tl.load(incoming + gradient_stride + index, mask=here, other=0.0)
    gy = tl.load(incoming + 3 * gradient_stride + index, mask=here, other=0.0)
    gz = tl.load(incoming + 5 * gradient_stride + index, mask=here, other=0.0)
    px = gx * tl.load(t + 6).to(gx.dtype)
    py = gy * tl.load(t + 7).to(gx.dtype)
    pz = gz * tl.load(t + 8).to(gx.dtype)
    charge = tl.load(weight + bunch * weight_bunch + index * weight_step, mask=here, other=0.0)
    size = nx * ny * nz
    field, other = potential + bunch * size, adjoint + bunch * size
    mx, my, mz, own = cx * 0.0, cx * 0.0, cx * 0.0, cx * 0.0
    sx, sy, sz = cx * 0.0, cx * 0.0, cx * 0.0
    for i in tl.static_range(touched):
        wx, dx = _weight(ux, i, touched), _slope(ux, i, touched)
        for j in tl.static_range(touched):
            wy, dy = _weight(uy, j, touched), _slope(uy, j, touched)
            for k in tl.static_range(touched):
                wz, dz = _weight(uz, k, touched), _slope(uz, k, touched)
                node = ((fx + i) * ny + fy + j) * nz + fz + k
                ex = _difference(field, node, ny * nz, fx + i, nx, here)
                ey = _difference(field, node, nz, fy + j, ny, here)
                ez = _difference(field, node, 1, fz + k, nz, here)
                back = tl.load(other + node, mask=here, other=0.0)
                value = charge * back + px * ex + py * ey + pz * ez
                mx += value * dx * wy * wz
                my += value * wx * dy * wz
                mz += value * wx * wy * dz
                share = wx * wy * wz
                own += share * back
                sx += share * ex
                sy += share * ey
                sz += share * ez
    offset = tl.load(row + 4 * stride + index, mask=here, other=0.0)
    offset = tl.where(here, offset - tl.load(centre + 3 * bunch + 2).to(offset.dtype), 0.0)
    stretch = mz * offset
    mx *= tl.load(t).to(mx.dtype)
    my *= tl.load(t + 1).to(mx.dtype)
    mz *= tl.load(t + 2).to(mx.dtype)
    sums = totals + 7 * bunch
    tl.atomic_add(sums, tl.sum(mx.to(tl.float64), 0))
    tl.atomic_add(sums + 1, tl.sum(my.to(tl.float64), 0))
    tl.atomic_add(sums + 2, tl.sum(mz.to(tl.float64), 0))
    tl.atomic_add(sums + 3, tl.sum((gx * sx).to(tl.float64), 0))
    tl.atomic_add(sums + 4, tl.sum((gy * sy).to(tl.float64), 0))
    tl.atomic_add(sums + 5, tl.sum((gz * sz).to(tl.float64), 0))
    tl.atomic_add(sums + 6, tl.sum(stretch.to(tl.float64), 0))
    if wants_weight:
        tl.store(weights + bunch * n + index, own, mask=there)
    out = result + bunch * 6 * n
    for axis in tl.static_range(3):
        moved = mx
        if axis == 1:
            moved = my
        if axis == 2:
            moved = mz
        position = tl.load(incoming + 2 * axis * gradient_stride + index, mask=there, other=0.0)
        momentum = tl.load(
            incoming + (2 * axis + 1) * gradient_stride + index, mask=there, other=0.0
        )
        tl.store(out + 2 * axis * n + index, position + moved, mask=there)
        tl.store(out + (2 * axis + 1) * n + index, momentum, mask=there)
