/* Particles and mesh: deposit, kick, and their adjoints, cloud-in-cell.

   The text is compiled twice, with REAL replaced by float32 and float64. Coordinates are six
   rows (x, px, y, py, zeta, pzeta) of n particles. `frame` holds, for each axis, the centre of
   the bunch, cells per metre, and the position of the centre counted in cells.

   A particle at fraction f between its nodes 1 and 2 of four, 0 ... 3, sees along one axis
     value          mix(v1, v2) = (1 - f) v1 + f v2             with slope v2 - v1
     difference     mix(v2 - v0, v3 - v1)                       with slope (v3 - v1) - (v2 - v0)
   Four nodes along z are one vector, and are combined last, by scalar products. */

typedef REAL vec_REAL __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));

typedef struct {
  int64_t node; /* the lower of the two nodes that the particle touches along each axis */
  REAL fx, fy, fz;
} cell_REAL;

/* 0 if the particle is too close to a face, or is nowhere. */
static inline int locate_REAL(const REAL *coordinates, int64_t n, int64_t i, const double *frame,
                              const int64_t *nodes, cell_REAL *cell) {
  const double sx = (coordinates[i] - frame[0]) * frame[3] + frame[6];
  const double sy = (coordinates[2 * n + i] - frame[1]) * frame[4] + frame[7];
  const double sz = (coordinates[4 * n + i] - frame[2]) * frame[5] + frame[8];
  if (!(sx >= 1.0 && sx <= nodes[0] - 2.0 && sy >= 1.0 && sy <= nodes[1] - 2.0 && sz >= 1.0 &&
        sz <= nodes[2] - 2.0))
    return 0;
  int64_t ix = (int64_t)sx, iy = (int64_t)sy, iz = (int64_t)sz;
  if (ix > nodes[0] - 3) ix = nodes[0] - 3;
  if (iy > nodes[1] - 3) iy = nodes[1] - 3;
  if (iz > nodes[2] - 3) iz = nodes[2] - 3;
  cell->node = (ix * nodes[1] + iy) * nodes[2] + iz;
  cell->fx = (REAL)(sx - ix);
  cell->fy = (REAL)(sy - iy);
  cell->fz = (REAL)(sz - iz);
  return 1;
}

static inline vec_REAL mix_REAL(REAL f, vec_REAL a, vec_REAL b) { return a + f * (b - a); }

/* Four nodes along z of the column (a, b) of the 4 x 4 around a particle. */
static inline vec_REAL column_REAL(const REAL *at, int64_t dx, int64_t dy, int a, int b) {
  return *(const vec_REAL *)(at + (a - 1) * dx + (b - 1) * dy - 1);
}

static inline REAL dot_REAL(vec_REAL a, vec_REAL b) {
  const vec_REAL p = a * b;
  return (p[0] + p[1]) + (p[2] + p[3]);
}

/* Sum of weights on the nodes; `grids` has room for one private grid per thread, the first of
   which is the result. Returns the number of living particles outside. */
int64_t deposit_REAL(const REAL *coordinates, const REAL *weight, int64_t weight_step,
                     const uint8_t *alive, int64_t n, const double *frame, const int64_t *nodes,
                     int64_t threads, REAL *charge, REAL *grids) {
  const int64_t n_nodes = nodes[0] * nodes[1] * nodes[2];
  const int64_t dy = nodes[2], dx = nodes[1] * nodes[2];
  int64_t outside = 0;
#pragma omp parallel num_threads(threads) reduction(+ : outside)
  {
    const int64_t thread = SC_THREAD, team = SC_TEAM;
    REAL *own = thread ? grids + (thread - 1) * n_nodes : charge;
    memset(own, 0, n_nodes * sizeof(REAL));
    for (int64_t i = n * thread / team; i < n * (thread + 1) / team; i++) {
      cell_REAL c;
      if (alive && !alive[i]) continue;
      if (!locate_REAL(coordinates, n, i, frame, nodes, &c)) {
        outside++;
        continue;
      }
      const REAL w = weight[i * weight_step];
      const REAL z0 = 1 - c.fz, z1 = c.fz;
      const REAL w00 = w * (1 - c.fx) * (1 - c.fy), w01 = w * (1 - c.fx) * c.fy;
      const REAL w10 = w * c.fx * (1 - c.fy), w11 = w * c.fx * c.fy;
      REAL *at = own + c.node;
      at[0] += w00 * z0;
      at[1] += w00 * z1;
      at[dy] += w01 * z0;
      at[dy + 1] += w01 * z1;
      at[dx] += w10 * z0;
      at[dx + 1] += w10 * z1;
      at[dx + dy] += w11 * z0;
      at[dx + dy + 1] += w11 * z1;
    }
#pragma omp barrier
    for (int64_t other = 1; other < team; other++)
      for (int64_t k = n_nodes * thread / team; k < n_nodes * (thread + 1) / team; k++)
        charge[k] += grids[(other - 1) * n_nodes + k];
  }
  return outside;
}

/* New coordinates: momenta plus factor times the difference of the potential over two cells. */
void kick_REAL(const REAL *coordinates, const uint8_t *alive, int64_t n, const double *frame,
               const int64_t *nodes, const REAL *potential, const double *factor, int64_t threads,
               REAL *kicked) {
  const int64_t dy = nodes[2], dx = nodes[1] * nodes[2];
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < n; i++) {
    REAL kx = 0, ky = 0, kz = 0;
    cell_REAL c;
    if (!(alive && !alive[i]) && locate_REAL(coordinates, n, i, frame, nodes, &c)) {
      const REAL *at = potential + c.node;
      const vec_REAL wz = {0, 1 - c.fz, c.fz, 0}, cz = {c.fz - 1, -c.fz, 1 - c.fz, c.fz};
      vec_REAL value[4], difference[4]; /* along y, of each of four nodes along x */
#pragma GCC unroll 4
      for (int a = 0; a < 4; a++) {
        const vec_REAL v1 = column_REAL(at, dx, dy, a, 1), v2 = column_REAL(at, dx, dy, a, 2);
        value[a] = mix_REAL(c.fy, v1, v2);
        if (a == 0 || a == 3) continue;
        const vec_REAL v0 = column_REAL(at, dx, dy, a, 0), v3 = column_REAL(at, dx, dy, a, 3);
        difference[a] = mix_REAL(c.fy, v2 - v0, v3 - v1);
      }
      const vec_REAL sx = mix_REAL(c.fx, value[2] - value[0], value[3] - value[1]);
      const vec_REAL sy = mix_REAL(c.fx, difference[1], difference[2]);
      const vec_REAL sz = mix_REAL(c.fx, value[1], value[2]);
      kx = (REAL)(factor[0] * dot_REAL(sx, wz));
      ky = (REAL)(factor[1] * dot_REAL(sy, wz));
      kz = (REAL)(factor[2] * dot_REAL(sz, cz));
    }
    for (int row = 0; row < 6; row += 2) kicked[row * n + i] = coordinates[row * n + i];
    kicked[n + i] = coordinates[n + i] + kx;
    kicked[3 * n + i] = coordinates[3 * n + i] + ky;
    kicked[5 * n + i] = coordinates[5 * n + i] + kz;
  }
}

/* Adjoint of the kick with respect to the potential on the nodes; `grids` has room for one
   grid of four numbers a node per thread. */
void adjoint_deposit_REAL(const REAL *coordinates, const uint8_t *alive, int64_t n,
                          const double *frame, const int64_t *nodes, const REAL *gradient,
                          const double *factor, int64_t threads, REAL *grids, REAL *source) {
  const int64_t n_nodes = nodes[0] * nodes[1] * nodes[2];
  const int64_t nx = nodes[0], ny = nodes[1], nz = nodes[2], dy = nz, dx = ny * nz;
  vec_REAL *first = (vec_REAL *)grids;
#pragma omp parallel num_threads(threads)
  {
    const int64_t thread = SC_THREAD, team = SC_TEAM;
    vec_REAL *own = first + thread * n_nodes;
    memset(own, 0, n_nodes * sizeof(vec_REAL));
    for (int64_t i = n * thread / team; i < n * (thread + 1) / team; i++) {
      cell_REAL c;
      if ((alive && !alive[i]) || !locate_REAL(coordinates, n, i, frame, nodes, &c)) continue;
      const vec_REAL g = {(REAL)(factor[0] * gradient[n + i]), (REAL)(factor[1] * gradient[3 * n + i]),
                          (REAL)(factor[2] * gradient[5 * n + i]), 0};
      const vec_REAL g0 = g * (1 - c.fz), g1 = g * c.fz;
      const REAL w00 = (1 - c.fx) * (1 - c.fy), w01 = (1 - c.fx) * c.fy;
      const REAL w10 = c.fx * (1 - c.fy), w11 = c.fx * c.fy;
      vec_REAL *at = own + c.node;
      at[0] += w00 * g0;
      at[1] += w00 * g1;
      at[dy] += w01 * g0;
      at[dy + 1] += w01 * g1;
      at[dx] += w10 * g0;
      at[dx + 1] += w10 * g1;
      at[dx + dy] += w11 * g0;
      at[dx + dy + 1] += w11 * g1;
    }
#pragma omp barrier
    for (int64_t other = 1; other < team; other++)
      for (int64_t k = n_nodes * thread / team; k < n_nodes * (thread + 1) / team; k++)
        first[k] += first[other * n_nodes + k];
#pragma omp barrier
    /* transposed centred differences: a particle never touches the outermost nodes */
    for (int64_t ix = nx * thread / team; ix < nx * (thread + 1) / team; ix++)
      for (int64_t iy = 0; iy < ny; iy++)
        for (int64_t iz = 0; iz < nz; iz++) {
          const int64_t k = (ix * ny + iy) * nz + iz;
          REAL sum = 0;
          if (ix > 0) sum += first[k - dx][0];
          if (ix < nx - 1) sum -= first[k + dx][0];
          if (iy > 0) sum += first[k - dy][1];
          if (iy < ny - 1) sum -= first[k + dy][1];
          if (iz > 0) sum += first[k - 1][2];
          if (iz < nz - 1) sum -= first[k + 1][2];
          source[k] = sum;
        }
  }
}

/* Adjoint of deposit and kick with respect to positions, weights and factors.
   `adjoint` is the adjoint potential. `positions` gets three rows, in cells; `weights` is
   NULL if nobody asks. `totals` gets the sums over particles of the position gradients (3), of
   the gradients of the factors (3), and of zeta's gradient times its offset in metres. */
void adjoint_gather_REAL(const REAL *coordinates, const REAL *weight, int64_t weight_step,
                         const uint8_t *alive, int64_t n, const double *frame,
                         const int64_t *nodes, const REAL *potential, const REAL *adjoint,
                         const REAL *gradient, const double *factor, int64_t threads,
                         REAL *result, REAL *weights, double *totals) {
  const int64_t dy = nodes[2], dx = nodes[1] * nodes[2];
  double t0 = 0, t1 = 0, t2 = 0, t3 = 0, t4 = 0, t5 = 0, t6 = 0;
#pragma omp parallel for num_threads(threads) schedule(static) \
    reduction(+ : t0, t1, t2, t3, t4, t5, t6)
  for (int64_t i = 0; i < n; i++) {
    REAL gx = 0, gy = 0, gz = 0, gw = 0;
    cell_REAL c;
    if (!(alive && !alive[i]) && locate_REAL(coordinates, n, i, frame, nodes, &c)) {
      const REAL w = weight[i * weight_step];
      const REAL *at = potential + c.node, *at_adjoint = adjoint + c.node;
      const vec_REAL wz = {0, 1 - c.fz, c.fz, 0}, cz = {c.fz - 1, -c.fz, 1 - c.fz, c.fz};
      const vec_REAL wz_z = {0, -1, 1, 0}, cz_z = {1, -1, -1, 1};
      /* along y, of each of four nodes along x; _y is the slope along y */
      vec_REAL value[4], value_y[4], difference[4], difference_y[4], u[4], u_y[4];
#pragma GCC unroll 4
      for (int a = 0; a < 4; a++) {
        const vec_REAL v1 = column_REAL(at, dx, dy, a, 1), v2 = column_REAL(at, dx, dy, a, 2);
        value[a] = mix_REAL(c.fy, v1, v2);
        value_y[a] = v2 - v1;
        if (a == 0 || a == 3) continue;
        const vec_REAL v0 = column_REAL(at, dx, dy, a, 0), v3 = column_REAL(at, dx, dy, a, 3);
        difference[a] = mix_REAL(c.fy, v2 - v0, v3 - v1);
        difference_y[a] = (v3 - v1) - (v2 - v0);
        const vec_REAL u1 = column_REAL(at_adjoint, dx, dy, a, 1);
        const vec_REAL u2 = column_REAL(at_adjoint, dx, dy, a, 2);
        u[a] = mix_REAL(c.fy, u1, u2);
        u_y[a] = u2 - u1;
      }
      const vec_REAL sx = mix_REAL(c.fx, value[2] - value[0], value[3] - value[1]);
      const vec_REAL sx_x = (value[3] - value[1]) - (value[2] - value[0]);
      const vec_REAL sx_y = mix_REAL(c.fx, value_y[2] - value_y[0], value_y[3] - value_y[1]);
      const vec_REAL sy = mix_REAL(c.fx, difference[1], difference[2]);
      const vec_REAL sy_x = difference[2] - difference[1];
      const vec_REAL sy_y = mix_REAL(c.fx, difference_y[1], difference_y[2]);
      const vec_REAL sz = mix_REAL(c.fx, value[1], value[2]);
      const vec_REAL sz_x = value[2] - value[1];
      const vec_REAL sz_y = mix_REAL(c.fx, value_y[1], value_y[2]);
      const vec_REAL l = mix_REAL(c.fx, u[1], u[2]), l_x = u[2] - u[1];
      const vec_REAL l_y = mix_REAL(c.fx, u_y[1], u_y[2]);
      const REAL hx = gradient[n + i], hy = gradient[3 * n + i], hz = gradient[5 * n + i];
      const REAL fx = (REAL)(factor[0] * hx), fy = (REAL)(factor[1] * hy);
      const REAL fz = (REAL)(factor[2] * hz);
      gx = dot_REAL(fx * sx_x + fy * sy_x + w * l_x, wz) + fz * dot_REAL(sz_x, cz);
      gy = dot_REAL(fx * sx_y + fy * sy_y + w * l_y, wz) + fz * dot_REAL(sz_y, cz);
      gz = dot_REAL(fx * sx + fy * sy + w * l, wz_z) + fz * dot_REAL(sz, cz_z);
      gw = dot_REAL(l, wz);
      t3 += (double)hx * dot_REAL(sx, wz);
      t4 += (double)hy * dot_REAL(sy, wz);
      t5 += (double)hz * dot_REAL(sz, cz);
      t6 += (double)gz * (coordinates[4 * n + i] - frame[2]);
    }
    t0 += gx;
    t1 += gy;
    t2 += gz;
    const REAL moved[3] = {(REAL)(gx * frame[3]), (REAL)(gy * frame[4]), (REAL)(gz * frame[5])};
    for (int d = 0; d < 3; d++) {
      result[2 * d * n + i] = gradient[2 * d * n + i] + moved[d];
      result[(2 * d + 1) * n + i] = gradient[(2 * d + 1) * n + i];
    }
    if (weights) weights[i] = gw;
  }
  totals[0] = t0 * frame[3];
  totals[1] = t1 * frame[4];
  totals[2] = t2 * frame[5];
  totals[3] = t3;
  totals[4] = t4;
  totals[5] = t5;
  totals[6] = t6;
}

/* Multiply the transform of the doubled grid by an even function given by one octant; only the
   rows from `first` to `first + rows` along y are there. */
void filter_REAL(REAL *spectrum, const REAL *octant, const int64_t *nodes, int64_t first,
                 int64_t rows, int64_t threads) {
  const int64_t nx = nodes[0], ny = nodes[1], nz = nodes[2];
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t ix = 0; ix < 2 * nx; ix++)
    for (int64_t j = 0; j < rows; j++) {
      const int64_t iy = first + j;
      const int64_t mx = ix <= nx ? ix : 2 * nx - ix, my = iy <= ny ? iy : 2 * ny - iy;
      const REAL *even = octant + (mx * (ny + 1) + my) * (nz + 1);
      REAL *row = spectrum + 2 * (ix * rows + j) * (nz + 1);
      for (int64_t iz = 0; iz <= nz; iz++) {
        row[2 * iz] *= even[iz];
        row[2 * iz + 1] *= even[iz];
      }
    }
}
