/* Particles and mesh: deposit, kick, and their adjoints.

   The text is compiled once for every precision and shape of cloud: REAL is replaced by the type,
   the names' ending _REAL by both, and TOUCHED is the number of nodes that a particle touches
   along each axis, 2 (cloud-in-cell) or 3 (triangular-shaped cloud). Coordinates are six
   rows (x, px, y, py, zeta, pzeta) of n particles. `frame` holds, for each axis, the centre of
   the bunch, cells per metre, and the position of the centre counted in cells.

   Particles go in blocks: cells are found, and results written, for a block at a time, one row
   after the other, which leaves the registers to the nodes in between. Nodes along z are one
   vector, and are combined last, by scalar products. Differences are taken between nodes before
   anything is multiplied, so that they lose no digits: in a flat bunch neighbours differ by little
   of their value. */

#define BLOCK 128
#define LANES (TOUCHED == 2 ? 2 : 4)

#define VECTOR(lanes) __attribute__((vector_size(lanes * sizeof(REAL)), aligned(sizeof(REAL)), may_alias))

typedef REAL row_REAL VECTOR(LANES);
typedef REAL wide_REAL VECTOR(4);

typedef struct {
  int32_t first[3][BLOCK]; /* node that a particle touches first along each axis */
  REAL off[3][BLOCK];      /* cells from the node before it (TOUCHED 2) or closest to it (3) */
  int32_t inside[BLOCK];   /* 0: too close to a face for a difference on every touched node */
} block_REAL;

typedef struct {
  REAL x[TOUCHED], y[TOUCHED], x_x[TOUCHED], y_y[TOUCHED]; /* weights; _x, _y: their slopes */
  row_REAL z, z_z;                                         /* 0 where nothing is touched */
} weights_REAL;

static inline void along_REAL(const REAL *restrict at, int m, double centre, double per_metre,
                              double middle, int64_t nodes, int32_t *restrict first,
                              REAL *restrict off, int32_t *restrict inside) {
  const double spare = 0.5 * TOUCHED, last = nodes - 1 - spare;
  const int32_t highest = nodes - 3;
  for (int j = 0; j < m; j++) {
    double s = (at[j] - centre) * per_metre + middle;
    const int fits = (s >= spare) & (s <= last); /* no number does not */
    inside[j] &= fits;
    s = fits ? s : spare;
    int32_t i = (int32_t)(s + 0.5 * (TOUCHED - 2));
    i = i > highest ? highest : i;
    first[j] = i - (TOUCHED - 2);
    off[j] = (REAL)(s - i);
  }
}

/* Cells of the `m` particles from number `i` on; returns how many living ones are outside. */
static inline int64_t locate_REAL(const REAL *coordinates, const uint8_t *alive, int64_t n,
                                  int64_t i, int m, const double *frame, const int64_t *nodes,
                                  block_REAL *block) {
  int64_t outside = 0;
  for (int j = 0; j < m; j++) block->inside[j] = 1;
  for (int d = 0; d < 3; d++)
    along_REAL(coordinates + 2 * d * n + i, m, frame[d], frame[3 + d], frame[6 + d], nodes[d],
               block->first[d], block->off[d], block->inside);
  if (!alive) {
    for (int j = 0; j < m; j++) outside += !block->inside[j];
    return outside;
  }
  for (int j = 0; j < m; j++) {
    outside += alive[i + j] && !block->inside[j];
    block->inside[j] &= alive[i + j] != 0;
  }
  return outside;
}

static inline void weigh_REAL(REAL off, REAL *w, REAL *slope) {
#if TOUCHED == 2
  w[0] = 1 - off, w[1] = off;
  slope[0] = -1, slope[1] = 1;
#else
  const REAL half = (REAL)0.5;
  w[0] = half * (half - off) * (half - off);
  w[1] = (REAL)0.75 - off * off;
  w[2] = half * (half + off) * (half + off);
  slope[0] = off - half, slope[1] = -2 * off, slope[2] = off + half;
#endif
}

static inline weights_REAL weights_of_REAL(const block_REAL *block, int j) {
  weights_REAL w;
  REAL z[4] = {0, 0, 0, 0}, z_z[4] = {0, 0, 0, 0};
  weigh_REAL(block->off[0][j], w.x, w.x_x);
  weigh_REAL(block->off[1][j], w.y, w.y_y);
  weigh_REAL(block->off[2][j], z, z_z);
  for (int k = 0; k < LANES; k++) w.z[k] = z[k], w.z_z[k] = z_z[k];
  return w;
}

static inline int64_t node_REAL(const block_REAL *block, int j, int64_t dx, int64_t dy) {
  return block->first[0][j] * dx + block->first[1][j] * dy + block->first[2][j];
}

/* Nodes along z; those beyond the touched ones have no weight. */
static inline row_REAL read_REAL(const REAL *at) { return *(const row_REAL *)at; }

/* Difference of the two neighbours of every node of a row, `step` away. */
static inline row_REAL difference_REAL(const REAL *at, int64_t step) {
  return read_REAL(at + step) - read_REAL(at - step);
}

static inline REAL dot_REAL(row_REAL a, row_REAL b) {
  const row_REAL p = a * b;
#if TOUCHED == 2
  return p[0] + p[1];
#else
  return p[0] + p[1] + p[2];
#endif
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
    const int64_t thread = SC_THREAD, team = SC_TEAM, end = n * (thread + 1) / team;
    REAL *own = thread ? grids + (thread - 1) * n_nodes : charge;
    memset(own, 0, n_nodes * sizeof(REAL));
    for (int64_t i = n * thread / team; i < end; i += BLOCK) {
      const int m = end - i < BLOCK ? end - i : BLOCK;
      block_REAL block;
      outside += locate_REAL(coordinates, alive, n, i, m, frame, nodes, &block);
      for (int j = 0; j < m; j++) {
        if (!block.inside[j]) continue;
        const weights_REAL w = weights_of_REAL(&block, j);
        const REAL charge_of_one = weight[(i + j) * weight_step];
        REAL *first = own + node_REAL(&block, j, dx, dy);
#pragma GCC unroll 3
        for (int a = 0; a < TOUCHED; a++)
#pragma GCC unroll 3
          for (int b = 0; b < TOUCHED; b++)
            *(row_REAL *)(first + a * dx + b * dy) += charge_of_one * w.x[a] * w.y[b] * w.z;
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
  for (int64_t i = 0; i < n; i += BLOCK) {
    const int m = n - i < BLOCK ? n - i : BLOCK;
    block_REAL block;
    REAL change[3][BLOCK];
    locate_REAL(coordinates, alive, n, i, m, frame, nodes, &block);
    for (int j = 0; j < m; j++) {
      row_REAL sx = {0}, sy = {0}, sz = {0};
      const weights_REAL w = weights_of_REAL(&block, j);
      if (block.inside[j]) {
        const REAL *first = potential + node_REAL(&block, j, dx, dy);
#pragma GCC unroll 3
        for (int a = 0; a < TOUCHED; a++)
#pragma GCC unroll 3
          for (int b = 0; b < TOUCHED; b++) {
            const REAL *at = first + a * dx + b * dy;
            const REAL wab = w.x[a] * w.y[b];
            sx += wab * difference_REAL(at, dx);
            sy += wab * difference_REAL(at, dy);
            sz += wab * difference_REAL(at, 1);
          }
      }
      change[0][j] = dot_REAL(sx, w.z);
      change[1][j] = dot_REAL(sy, w.z);
      change[2][j] = dot_REAL(sz, w.z);
    }
    for (int d = 0; d < 3; d++) {
      const int64_t q = 2 * d * n + i, p = q + n;
      memcpy(kicked + q, coordinates + q, m * sizeof(REAL));
      for (int j = 0; j < m; j++)
        kicked[p + j] = coordinates[p + j] + (REAL)(factor[d] * change[d][j]);
    }
  }
}

/* Adjoint of the kick with respect to the potential on the nodes: centred differences,
   transposed, of every particle's incoming gradient. `grids` and the result as in `deposit`. */
void adjoint_deposit_REAL(const REAL *coordinates, const uint8_t *alive, int64_t n,
                          const double *frame, const int64_t *nodes, const REAL *gradient,
                          const double *factor, int64_t threads, REAL *source, REAL *grids) {
  const int64_t n_nodes = nodes[0] * nodes[1] * nodes[2];
  const int64_t dy = nodes[2], dx = nodes[1] * nodes[2];
#pragma omp parallel num_threads(threads)
  {
    const int64_t thread = SC_THREAD, team = SC_TEAM, end = n * (thread + 1) / team;
    REAL *own = thread ? grids + (thread - 1) * n_nodes : source;
    memset(own, 0, n_nodes * sizeof(REAL));
    for (int64_t i = n * thread / team; i < end; i += BLOCK) {
      const int m = end - i < BLOCK ? end - i : BLOCK;
      block_REAL block;
      locate_REAL(coordinates, alive, n, i, m, frame, nodes, &block);
      for (int j = 0; j < m; j++) {
        if (!block.inside[j]) continue;
        const weights_REAL w = weights_of_REAL(&block, j);
        const REAL g[3] = {(REAL)(factor[0] * gradient[n + i + j]),
                           (REAL)(factor[1] * gradient[3 * n + i + j]),
                           (REAL)(factor[2] * gradient[5 * n + i + j])};
        REAL *first = own + node_REAL(&block, j, dx, dy);
        /* weights and their transposed differences on the touched nodes and one on each side */
        REAL x[TOUCHED + 2] = {0}, y[TOUCHED + 2] = {0}, z[TOUCHED + 2] = {0};
        REAL x_d[TOUCHED + 2] = {0}, y_d[TOUCHED + 2] = {0}, z_d[TOUCHED + 2] = {0};
#pragma GCC unroll 3
        for (int k = 0; k < TOUCHED; k++) {
          x[k + 1] = w.x[k], y[k + 1] = w.y[k], z[k + 1] = w.z[k];
          x_d[k] -= w.x[k], y_d[k] -= w.y[k], z_d[k] -= w.z[k];
          x_d[k + 2] += w.x[k], y_d[k + 2] += w.y[k], z_d[k + 2] += w.z[k];
        }
        const wide_REAL wide = {z[0], z[1], z[2], z[3]}, wide_d = {z_d[0], z_d[1], z_d[2], z_d[3]};
#pragma GCC unroll 5
        for (int a = 0; a < TOUCHED + 2; a++)
#pragma GCC unroll 5
          for (int b = 0; b < TOUCHED + 2; b++) {
            const int side = a == 0 || a == TOUCHED + 1, other = b == 0 || b == TOUCHED + 1;
            REAL *at = first + (a - 1) * dx + (b - 1) * dy;
            if (side && other) continue;
            const REAL across = g[0] * x_d[a] * y[b] + g[1] * x[a] * y_d[b];
            if (side || other) {
              *(row_REAL *)at += across * w.z;
              continue;
            }
            const REAL within = g[2] * x[a] * y[b];
            *(wide_REAL *)(at - 1) += across * wide + within * wide_d;
#if TOUCHED == 3
            at[3] += within * z_d[4];
#endif
          }
      }
    }
#pragma omp barrier
    for (int64_t other = 1; other < team; other++)
      for (int64_t k = n_nodes * thread / team; k < n_nodes * (thread + 1) / team; k++)
        source[k] += grids[(other - 1) * n_nodes + k];
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
  for (int64_t i = 0; i < n; i += BLOCK) {
    const int m = n - i < BLOCK ? n - i : BLOCK;
    block_REAL block;
    REAL moved[3][BLOCK], force[3][BLOCK], of_weight[BLOCK];
    locate_REAL(coordinates, alive, n, i, m, frame, nodes, &block);
    for (int j = 0; j < m; j++) {
      const weights_REAL w = weights_of_REAL(&block, j);
      /* `all` is what a position's gradient weighs on every node; _x, _y: with the slopes */
      row_REAL sx = {0}, sy = {0}, sz = {0}, value = {0}, all = {0}, all_x = {0}, all_y = {0};
      REAL base = 0; /* slopes add up to 0: only what differs from one node counts */
      if (block.inside[j]) {
        const int64_t node = node_REAL(&block, j, dx, dy);
        const REAL own = weight[(i + j) * weight_step];
        const REAL fx = (REAL)(factor[0] * gradient[n + i + j]);
        const REAL fy = (REAL)(factor[1] * gradient[3 * n + i + j]);
        const REAL fz = (REAL)(factor[2] * gradient[5 * n + i + j]);
        base = adjoint[node];
#pragma GCC unroll 3
        for (int a = 0; a < TOUCHED; a++) {
          row_REAL along = {0}, along_y = {0};
#pragma GCC unroll 3
          for (int b = 0; b < TOUCHED; b++) {
            const REAL *at = potential + node + a * dx + b * dy;
            const REAL wab = w.x[a] * w.y[b];
            const row_REAL ex = difference_REAL(at, dx), ey = difference_REAL(at, dy);
            const row_REAL ez = difference_REAL(at, 1);
            const row_REAL u = read_REAL(adjoint + node + a * dx + b * dy) - base;
            const row_REAL total = fx * ex + fy * ey + fz * ez + own * u;
            sx += wab * ex;
            sy += wab * ey;
            sz += wab * ez;
            value += wab * u;
            along += w.y[b] * total;
            along_y += w.y_y[b] * total;
          }
          all += w.x[a] * along;
          all_x += w.x_x[a] * along;
          all_y += w.x[a] * along_y;
        }
      }
      moved[0][j] = dot_REAL(all_x, w.z);
      moved[1][j] = dot_REAL(all_y, w.z);
      moved[2][j] = dot_REAL(all, w.z_z);
      force[0][j] = dot_REAL(sx, w.z);
      force[1][j] = dot_REAL(sy, w.z);
      force[2][j] = dot_REAL(sz, w.z);
      of_weight[j] = dot_REAL(value, w.z) + base;
    }
    for (int j = 0; j < m; j++) {
      t0 += moved[0][j];
      t1 += moved[1][j];
      t2 += moved[2][j];
      t3 += (double)gradient[n + i + j] * force[0][j];
      t4 += (double)gradient[3 * n + i + j] * force[1][j];
      t5 += (double)gradient[5 * n + i + j] * force[2][j];
      t6 += (double)moved[2][j] * (block.inside[j] ? coordinates[4 * n + i + j] - frame[2] : 0.0);
    }
    for (int d = 0; d < 3; d++) {
      const int64_t q = 2 * d * n + i, p = q + n;
      for (int j = 0; j < m; j++)
        result[q + j] = gradient[q + j] + (REAL)(moved[d][j] * frame[3 + d]);
      memcpy(result + p, gradient + p, m * sizeof(REAL));
    }
    if (weights) memcpy(weights + i, of_weight, m * sizeof(REAL));
  }
  totals[0] = t0 * frame[3];
  totals[1] = t1 * frame[4];
  totals[2] = t2 * frame[5];
  totals[3] = t3;
  totals[4] = t4;
  totals[5] = t5;
  totals[6] = t6;
}
