/* Whole programs of maps: program.py has the arguments. A code is the kind of a map, the place of
   its numbers, how many there are, and of which the gradient is wanted: a bit for each of the first
   three, and one for all others. */

static void move_REAL(const int64_t *code, const double *numbers, int64_t n, Particles_REAL *p) {
  const double *own = numbers + code[1];
  switch (code[0]) {
  case EXPANDED: expanded_REAL(own, n, p); break;
  case EXACT: exact_REAL(own, n, p); break;
  case FOCUS: focus_REAL(own, n, p); break;
  case KICK: kick_REAL(own, code[2], n, p); break;
  case SECTOR: sector_REAL(own, n, p); break;
  case SOLENOID: solenoid_REAL(own, n, p); break;
  case SHIFT: shift_REAL(own, n, p); break;
  case TURN: turn_REAL(own, n, p); break;
  }
}

static void back_REAL(const int64_t *code, const double *numbers, int64_t n, Particles_REAL *p,
                      Slopes_REAL *by, double *sums) {
  const double *own = numbers + code[1];
  sums += code[1];
  switch (code[0]) {
  case EXPANDED: expanded_back_REAL(own, n, p, by, sums); break;
  case EXACT: exact_back_REAL(own, n, p, by, sums); break;
  case FOCUS: focus_back_REAL(own, n, p, by, sums); break;
  case KICK: kick_back_REAL(own, code[2], code[3], n, p, by, sums); break;
  case SECTOR: sector_back_REAL(own, n, p, by, sums); break;
  case SOLENOID: solenoid_back_REAL(own, n, p, by, sums); break;
  case SHIFT: shift_back_REAL(n, by, sums); break;
  case TURN: turn_back_REAL(own, n, p, by, sums); break;
  }
}

/* Whether a map needs to know the energy. */
static int is_of_energy_REAL(const int64_t *code, const double *numbers) {
  if (code[0] == SHIFT || code[0] == TURN) return 0;
  return code[0] != KICK || numbers[code[1]] != 0;
}

/* First number of a block of a batch; `count` becomes that of its particles. */
static inline int64_t block_REAL(int64_t block, int64_t size, int64_t n, int64_t *count) {
  const int64_t blocks = (n + size - 1) / size, start = block % blocks * size;
  *count = n - start < size ? n - start : size;
  return block / blocks * 6 * n + start;
}

/* Which rows a map writes to: bits of x, px, y, py, zeta. */
static int written_REAL(const int64_t *code, const double *numbers) {
  switch (code[0]) {
  case KICK: return numbers[code[1]] != 0 ? 26 : 10;
  case SHIFT:
  case EXPANDED:
  case EXACT: return 21;
  case SECTOR: return 23;
  case TURN: return 15;
  }
  return 31;
}

/* `size` particles at a time. With `streams` the result is too large for the caches, and is
   written past them. Rows that no map writes to are read where they are. */
void program_REAL(const REAL *coordinates, REAL *moved, const int64_t *codes, int64_t n_codes,
                  const double *numbers, int64_t size, int64_t n, int64_t batch,
                  int64_t streams, int64_t threads) {
  int of_energy = 0, written = 0;
  for (int64_t k = 0; k < n_codes; k++) {
    of_energy |= is_of_energy_REAL(codes + 4 * k, numbers);
    written |= written_REAL(codes + 4 * k, numbers);
  }
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t block = 0; block < batch * ((n + size - 1) / size); block++) {
    int64_t count;
    const int64_t start = block_REAL(block, size, n, &count);
    const REAL *from = coordinates + start;
    REAL hot[5 * BLOCK], *to = moved + start, *rows[5];
    for (int k = 0; k < 6; k++) {
      const int fixed = !(written >> k & 1);
      REAL *row = fixed || !streams ? to + k * n : hot + k * BLOCK;
      if (fixed && streams) stream_past_caches(row, from + k * n, count * sizeof(REAL));
      else memcpy(row, from + k * n, count * sizeof(REAL));
      if (k < 5) rows[k] = fixed ? (REAL *)from + k * n : row;
    }
    Particles_REAL p;
    p.x = rows[0], p.px = rows[1], p.y = rows[2], p.py = rows[3], p.zeta = rows[4];
    if (of_energy) energy_REAL((REAL)numbers[0], count, from + 5 * n, &p);
    for (int64_t k = 0; k < n_codes; k++) move_REAL(codes + 4 * k, numbers, count, &p);
    for (int k = 0; streams && k < 5; k++)
      if (written >> k & 1) stream_past_caches(to + k * n, rows[k], count * sizeof(REAL));
  }
}

static inline void place_REAL(REAL *rows, int64_t step, Particles_REAL *p) {
  p->x = rows, p->px = rows + step, p->y = rows + 2 * step, p->py = rows + 3 * step;
}

/* `size` particles at a time, so that what is noted of them on `tape` stays in the cache: room
   for 4 numbers a particle and map for every thread. `sums` has room for the gradient by every
   number, once for every thread, and starts from 0; the first number is 1/gamma0^2. */
void program_gradient_REAL(const REAL *coordinates, const REAL *upstream, REAL *result,
                           const int64_t *codes, int64_t n_codes, const double *numbers,
                           int64_t n_numbers, double *sums, REAL *tape, int64_t size, int64_t n,
                           int64_t batch, int64_t streams, int64_t threads) {
  const REAL rest = (REAL)numbers[0];
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t block = 0; block < batch * ((n + size - 1) / size); block++) {
    int64_t count;
    const int64_t start = block_REAL(block, size, n, &count);
    const REAL *pzeta = coordinates + start + 5 * n;
    double *own = sums + SC_THREAD * n_numbers;
    /* what goes into the k-th map; into the first one the coordinates themselves */
    REAL *notes = tape + (SC_THREAD * n_codes - 1) * 4 * size, nowhere[BLOCK];
    Particles_REAL p;
    Slopes_REAL by;
    p.zeta = memset(nowhere, 0, count * sizeof(REAL));
    energy_REAL(rest, count, pzeta, &p);
    for (int64_t k = 0; k + 1 < n_codes; k++) {
      for (int row = 0; row < 4; row++) {
        const REAL *last = k ? notes + (4 * k + row) * size : coordinates + start + row * n;
        memcpy(notes + (4 * (k + 1) + row) * size, last, count * sizeof(REAL));
      }
      place_REAL(notes + 4 * (k + 1) * size, size, &p);
      move_REAL(codes + 4 * k, numbers, count, &p);
    }
    REAL hot[6 * BLOCK], *to = streams ? hot : result + start;
    const int64_t step = streams ? BLOCK : n;
    for (int k = 0; k < 5; k++)
      memcpy(to + k * step, upstream + start + k * n, count * sizeof(REAL));
    by.x = to, by.px = to + step, by.y = to + 2 * step, by.py = to + 3 * step;
    by.zeta = to + 4 * step;
    memset(by.inverse, 0, count * sizeof(REAL));
    memset(by.ratio, 0, count * sizeof(REAL));
    for (int64_t k = n_codes - 1; k >= 0; k--) {
      if (k) place_REAL(notes + 4 * k * size, size, &p);
      else place_REAL((REAL *)coordinates + start, n, &p); /* which no map backwards writes to */
      back_REAL(codes + 4 * k, numbers, count, &p, &by, own);
    }
    const REAL *to_pzeta = upstream + start + 5 * n;
    REAL *out = to + 5 * step, by_rest = 0;
#pragma omp simd reduction(+ : by_rest)
    for (int64_t i = 0; i < count; i++) {
      const REAL r = p.inverse[i], u = p.ratio[i] * p.momentum[i];
      const REAL cube = r * r * r, half = (REAL)0.5 * pzeta[i] * pzeta[i] * cube;
      out[i] = to_pzeta[i] - cube * (by.inverse[i] * u + by.ratio[i] * rest);
      by_rest += by.inverse[i] * half + by.ratio[i] * (u * half - r * pzeta[i]);
    }
    own[0] += by_rest;
    for (int k = 0; streams && k < 6; k++)
      stream_past_caches(result + start + k * n, hot + k * BLOCK, count * sizeof(REAL));
  }
}
#undef OVER
#undef EACH
#undef SERIES
#undef HORNER
#undef FEW_ORDERS
#undef BLOCK
#undef PLANE_BACK
