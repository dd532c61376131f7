/* Particles and mesh: deposit, kick, and their adjoints.

   The text is compiled once for every precision and shape of cloud: REAL is replaced by the type,
   the names' ending _REAL by both, and TOUCHED is the number of nodes that a particle touches
   along each axis, 2 (cloud-in-cell) or 3 (triangular-shaped cloud). Coordinates are six
   rows (x, px, y, py, zeta, pzeta) of n particles. `frame` holds, for each axis, the centre of
   the bunch, cells per metre, and the position of the centre counted in cells.

   Nodes along z are one vector, and are combined last, by scalar products. Differences are taken
   between nodes before anything is multiplied, so that they lose no digits: in a flat bunch
   neighbours differ by little of their value. */

typedef REAL vec_REAL __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));

typedef struct {
  int64_t node; /* the first that the particle touches along each axis */
  REAL wx[TOUCHED], wy[TOUCHED], wx_x[TOUCHED], wy_y[TOUCHED]; /* weights; _x, _y: their slopes */
  vec_REAL wz, wz_z;                                           /* 0 where nothing is touched */
} cell_REAL;

/* First node, weights and slopes along one axis, at s cells from its first node; 0 if that is too
   close to a face for a difference on every touched node, or is nowhere. */
static inline int along_REAL(double s, int64_t nodes, int64_t *first, REAL *w, REAL *slope) {
  const double spare = 0.5 * TOUCHED;
  if (!(s >= spare && s <= nodes - 1 - spare)) return 0;
#if TOUCHED == 2
  int64_t i = (int64_t)s;
  if (i > nodes - 3) i = nodes - 3;
  const REAL f = (REAL)(s - i);
  w[0] = 1 - f, w[1] = f;
  slope[0] = -1, slope[1] = 1;
  *first = i;
#else
  const REAL half = (REAL)0.5;
  int64_t i = (int64_t)(s + 0.5);
  if (i > nodes - 3) i = nodes - 3;
  const REAL off = (REAL)(s - i);
  w[0] = half * (half - off) * (half - off);
  w[1] = (REAL)0.75 - off * off;
  w[2] = half * (half + off) * (half + off);
  slope[0] = off - half, slope[1] = -2 * off, slope[2] = off + half;
  *first = i - 1;
#endif
  return 1;
}

static inline int locate_REAL(const REAL *coordinates, int64_t n, int64_t i, const double *frame,
                              const int64_t *nodes, cell_REAL *cell) {
  const double sx = (coordinates[i] - frame[0]) * frame[3] + frame[6];
  const double sy = (coordinates[2 * n + i] - frame[1]) * frame[4] + frame[7];
  const double sz = (coordinates[4 * n + i] - frame[2]) * frame[5] + frame[8];
  int64_t ix, iy, iz;
  REAL w[4] = {0, 0, 0, 0}, slope[4] = {0, 0, 0, 0};
  if (!along_REAL(sx, nodes[0], &ix, cell->wx, cell->wx_x)) return 0;
  if (!along_REAL(sy, nodes[1], &iy, cell->wy, cell->wy_y)) return 0;
  if (!along_REAL(sz, nodes[2], &iz, w, slope)) return 0;
  cell->node = (ix * nodes[1] + iy) * nodes[2] + iz;
  cell->wz = (vec_REAL){w[0], w[1], w[2], w[3]};
  cell->wz_z = (vec_REAL){slope[0], slope[1], slope[2], slope[3]};
  return 1;
}

/* Four nodes along z; those beyond the row are of the next one, and have no weight. */
static inline vec_REAL row_REAL(const REAL *at) { return *(const vec_REAL *)at; }

/* Difference of the two neighbours of every node of a row, `step` away. */
static inline vec_REAL difference_REAL(const REAL *at, int64_t step) {
  return row_REAL(at + step) - row_REAL(at - step);
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
#pragma GCC unroll 3
      for (int a = 0; a < TOUCHED; a++)
#pragma GCC unroll 3
        for (int b = 0; b < TOUCHED; b++) {
          const REAL wab = w * c.wx[a] * c.wy[b];
          REAL *at = own + c.node + a * dx + b * dy;
#pragma GCC unroll 3
          for (int k = 0; k < TOUCHED; k++) at[k] += wab * c.wz[k];
        }
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
      vec_REAL sx = {0}, sy = {0}, sz = {0};
#pragma GCC unroll 3
      for (int a = 0; a < TOUCHED; a++)
#pragma GCC unroll 3
        for (int b = 0; b < TOUCHED; b++) {
          const REAL *at = potential + c.node + a * dx + b * dy;
          const REAL w = c.wx[a] * c.wy[b];
          sx += w * difference_REAL(at, dx);
          sy += w * difference_REAL(at, dy);
          sz += w * difference_REAL(at, 1);
        }
      kx = (REAL)(factor[0] * dot_REAL(sx, c.wz));
      ky = (REAL)(factor[1] * dot_REAL(sy, c.wz));
      kz = (REAL)(factor[2] * dot_REAL(sz, c.wz));
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
#pragma GCC unroll 3
      for (int a = 0; a < TOUCHED; a++)
#pragma GCC unroll 3
        for (int b = 0; b < TOUCHED; b++) {
          const REAL wab = c.wx[a] * c.wy[b];
          vec_REAL *at = own + c.node + a * dx + b * dy;
#pragma GCC unroll 3
          for (int k = 0; k < TOUCHED; k++) at[k] += wab * (c.wz[k] * g);
        }
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
   `adjoint` is the adjoint potential. `result` gets the gradient of the incoming coordinates;
   `weights` is NULL if nobody asks. `totals` gets the sums over particles of the position
   gradients (3), of the gradients of the factors (3), and of zeta's gradient times its offset. */
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
      const REAL hx = gradient[n + i], hy = gradient[3 * n + i], hz = gradient[5 * n + i];
      const REAL fx = (REAL)(factor[0] * hx), fy = (REAL)(factor[1] * hy);
      const REAL fz = (REAL)(factor[2] * hz);
      const REAL base = adjoint[c.node]; /* slopes add up to 0: only what differs counts */
      /* `all` is what a position's gradient weighs on every node; _x, _y: with the slopes */
      vec_REAL sx = {0}, sy = {0}, sz = {0}, value = {0}, all = {0}, all_x = {0}, all_y = {0};
#pragma GCC unroll 3
      for (int a = 0; a < TOUCHED; a++) {
        vec_REAL along = {0}, along_y = {0};
#pragma GCC unroll 3
        for (int b = 0; b < TOUCHED; b++) {
          const REAL *at = potential + c.node + a * dx + b * dy;
          const REAL wab = c.wx[a] * c.wy[b];
          const vec_REAL ex = difference_REAL(at, dx), ey = difference_REAL(at, dy);
          const vec_REAL ez = difference_REAL(at, 1);
          const vec_REAL u = row_REAL(adjoint + c.node + a * dx + b * dy) - base;
          const vec_REAL total = fx * ex + fy * ey + fz * ez + w * u;
          sx += wab * ex;
          sy += wab * ey;
          sz += wab * ez;
          value += wab * u;
          along += c.wy[b] * total;
          along_y += c.wy_y[b] * total;
        }
        all += c.wx[a] * along;
        all_x += c.wx_x[a] * along;
        all_y += c.wx[a] * along_y;
      }
      gx = dot_REAL(all_x, c.wz);
      gy = dot_REAL(all_y, c.wz);
      gz = dot_REAL(all, c.wz_z);
      gw = dot_REAL(value, c.wz) + base;
      t3 += (double)hx * dot_REAL(sx, c.wz);
      t4 += (double)hy * dot_REAL(sy, c.wz);
      t5 += (double)hz * dot_REAL(sz, c.wz);
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
