/* Drifts, and their gradients by hand. The text is compiled once for every precision: REAL is
   replaced by the type, and the names' ending _REAL by its name.

   `rows` holds the addresses of x, px, y, py, zeta and pzeta of n particles, each a row of
   neighbouring numbers, and `to` those of what is written, where 0 is not wanted; the rows of
   the next bunch of a batch are `step` numbers on. `numbers` are length, beta0^2, 1/gamma0^2.
   flight.py has the formulas, with u = 1 + beta0^2 pzeta and P^2 = 1 + pzeta (1 + u).

   Compilers take `restrict` as a promise on parameters only: without it nothing is vectorized. */

#define CHUNK 1024 /* particles whose rows stay in the first cache */

static inline void expanded_REAL(REAL length, REAL b2, REAL rest, int64_t n,
                                 const REAL *restrict x, const REAL *restrict px,
                                 const REAL *restrict y, const REAL *restrict py,
                                 const REAL *restrict zeta, const REAL *restrict pzeta,
                                 REAL *restrict to_x, REAL *restrict to_y, REAL *restrict to_zeta) {
  for (int64_t i = 0; i < n; i++) {
    const REAL u = 1 + b2 * pzeta[i], square = pzeta[i] * (1 + u);
    const REAL inverse = 1 / root_REAL(1 + square), ratio = u * inverse, reach = length * inverse;
    const REAL transverse = px[i] * px[i] + py[i] * py[i];
    /* 1 - ratio, without its cancellation */
    const REAL slip = rest * square / (1 + ratio);
    to_x[i] = x[i] + reach * px[i];
    to_y[i] = y[i] + reach * py[i];
    to_zeta[i] = zeta[i] + reach * inverse * (slip - (REAL)0.5 * transverse * ratio);
  }
}

static inline void exact_REAL(REAL length, REAL b2, REAL rest, int64_t n, const REAL *restrict x,
                              const REAL *restrict px, const REAL *restrict y,
                              const REAL *restrict py, const REAL *restrict zeta,
                              const REAL *restrict pzeta, REAL *restrict to_x,
                              REAL *restrict to_y, REAL *restrict to_zeta) {
  for (int64_t i = 0; i < n; i++) {
    const REAL u = 1 + b2 * pzeta[i], square = pzeta[i] * (1 + u);
    const REAL transverse = px[i] * px[i] + py[i] * py[i];
    const REAL pz = root_REAL(1 + square - transverse), reach = length / pz;
    to_x[i] = x[i] + reach * px[i];
    to_y[i] = y[i] + reach * py[i];
    /* pz - u, without its cancellation */
    to_zeta[i] = zeta[i] + reach * (rest * square - transverse) / (pz + u);
  }
}

static inline void expanded_gradient_REAL(REAL length, REAL b2, REAL rest, int64_t n,
                                          const REAL *restrict px, const REAL *restrict py,
                                          const REAL *restrict pzeta, const REAL *restrict by_x,
                                          const REAL *restrict by_y, const REAL *restrict by_zeta,
                                          REAL *restrict to_px, REAL *restrict to_py,
                                          REAL *restrict to_pzeta) {
  for (int64_t i = 0; i < n; i++) {
    const REAL u = 1 + b2 * pzeta[i], square = pzeta[i] * (1 + u);
    const REAL inverse = 1 / root_REAL(1 + square), ratio = u * inverse, reach = length * inverse;
    const REAL tilt = by_zeta[i] * ratio * inverse;
    const REAL half = (REAL)0.5 * (px[i] * px[i] + py[i] * py[i]);
    /* of the energy at fixed slopes, and through the slopes */
    const REAL along = by_zeta[i] * inverse * (rest + half * (3 * ratio * ratio - b2));
    const REAL across = (px[i] * by_x[i] + py[i] * by_y[i]) * ratio;
    to_px[i] = reach * (by_x[i] - px[i] * tilt);
    to_py[i] = reach * (by_y[i] - py[i] * tilt);
    to_pzeta[i] = reach * inverse * (along - across);
  }
}

static inline void exact_gradient_REAL(REAL length, REAL b2, REAL rest, int64_t n,
                                       const REAL *restrict px, const REAL *restrict py,
                                       const REAL *restrict pzeta, const REAL *restrict by_x,
                                       const REAL *restrict by_y, const REAL *restrict by_zeta,
                                       REAL *restrict to_px, REAL *restrict to_py,
                                       REAL *restrict to_pzeta) {
  for (int64_t i = 0; i < n; i++) {
    const REAL u = 1 + b2 * pzeta[i], square = pzeta[i] * (1 + u);
    const REAL transverse = px[i] * px[i] + py[i] * py[i];
    const REAL inverse = 1 / root_REAL(1 + square - transverse), reach = length * inverse;
    const REAL twice = inverse * inverse, across = px[i] * by_x[i] + py[i] * by_y[i];
    const REAL pull = twice * (across - u * by_zeta[i]);
    to_px[i] = reach * (by_x[i] + px[i] * pull);
    to_py[i] = reach * (by_y[i] + py[i] * pull);
    to_pzeta[i] = reach * twice * (by_zeta[i] * (rest + b2 * transverse) - u * across);
  }
}

/* The address of the i-th number of a row, or nothing. */
static inline REAL *at_REAL(const int64_t *rows, int k, int64_t i) {
  return rows[k] ? (REAL *)(intptr_t)rows[k] + i : 0;
}

/* First number of a chunk of a batch; `count` becomes that of its particles. */
static inline int64_t chunk_REAL(int64_t chunk, int64_t n, int64_t step, int64_t *count) {
  const int64_t chunks = (n + CHUNK - 1) / CHUNK, start = chunk % chunks * CHUNK;
  *count = n - start < CHUNK ? n - start : CHUNK;
  return chunk / chunks * step + start;
}

void drift_REAL(const int64_t *rows, const int64_t *to, const double *numbers, int64_t exact,
                int64_t n, int64_t batch, int64_t step, int64_t threads) {
  const REAL length = (REAL)numbers[0], b2 = (REAL)numbers[1], rest = (REAL)numbers[2];
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t chunk = 0; chunk < batch * ((n + CHUNK - 1) / CHUNK); chunk++) {
    int64_t m;
    const int64_t i = chunk_REAL(chunk, n, step, &m);
    const REAL *px = at_REAL(rows, 1, i), *py = at_REAL(rows, 3, i), *pzeta = at_REAL(rows, 5, i);
    const REAL *x = at_REAL(rows, 0, i), *y = at_REAL(rows, 2, i), *zeta = at_REAL(rows, 4, i);
    REAL *to_x = at_REAL(to, 0, i), *to_y = at_REAL(to, 2, i), *to_zeta = at_REAL(to, 4, i);
    if (exact) exact_REAL(length, b2, rest, m, x, px, y, py, zeta, pzeta, to_x, to_y, to_zeta);
    else expanded_REAL(length, b2, rest, m, x, px, y, py, zeta, pzeta, to_x, to_y, to_zeta);
    for (int k = 1; k < 6; k += 2) /* the momenta, while they are in the cache */
      if (to[k]) memcpy(at_REAL(to, k, i), at_REAL(rows, k, i), m * sizeof(REAL));
  }
}

/* `upstream` holds the gradients by what comes out; of those by the momenta any may be missing,
   and where `to` has x, y and zeta the gradients by them are handed on. */
void drift_gradient_REAL(const int64_t *rows, const int64_t *upstream, const int64_t *to,
                         const double *numbers, int64_t exact, int64_t n, int64_t batch,
                         int64_t step, int64_t threads) {
  const REAL length = (REAL)numbers[0], b2 = (REAL)numbers[1], rest = (REAL)numbers[2];
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t chunk = 0; chunk < batch * ((n + CHUNK - 1) / CHUNK); chunk++) {
    int64_t m;
    const int64_t i = chunk_REAL(chunk, n, step, &m);
    const REAL *px = at_REAL(rows, 1, i), *py = at_REAL(rows, 3, i), *pzeta = at_REAL(rows, 5, i);
    const REAL *x = at_REAL(upstream, 0, i), *y = at_REAL(upstream, 2, i);
    const REAL *zeta = at_REAL(upstream, 4, i);
    REAL *to_px = at_REAL(to, 1, i), *to_py = at_REAL(to, 3, i), *to_pzeta = at_REAL(to, 5, i);
    if (exact)
      exact_gradient_REAL(length, b2, rest, m, px, py, pzeta, x, y, zeta, to_px, to_py, to_pzeta);
    else
      expanded_gradient_REAL(length, b2, rest, m, px, py, pzeta, x, y, zeta, to_px, to_py, to_pzeta);
    for (int k = 1; k < 6; k += 2) {
      const REAL *own = at_REAL(upstream, k, i);
      REAL *sum = at_REAL(to, k, i);
      for (int64_t j = 0; own && j < m; j++) sum[j] += own[j];
    }
    for (int k = 0; k < 6; k += 2)
      if (to[k]) memcpy(at_REAL(to, k, i), at_REAL(upstream, k, i), m * sizeof(REAL));
  }
}
#undef CHUNK
