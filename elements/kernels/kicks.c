/* Kicks at one place, forwards and backwards, and changes of frame.

   Numbers of a kick: turn of the frame, its coupling to field and gradient, and then, order by order,
   normal and skew strengths over n! */

#define FEW_ORDERS 4 /* up to an octupole: unrolled */

/* Field at x + i y in a and b, its derivative in c and d. */
#define HORNER(NORMAL, SKEW)                                                                       \
  {                                                                                                \
    const REAL a1 = c * x - d * y + a, b1 = c * y + d * x + b;                                     \
    const REAL a2 = a * x - b * y + (NORMAL), b2 = a * y + b * x + (SKEW);                         \
    c = a1, d = b1, a = a2, b = b2;                                                                \
  }

static void few_orders_REAL(const double *strengths, int64_t orders, int64_t n,
                            Particles_REAL *p) {
  REAL k[2 * FEW_ORDERS] = {0};
  for (int64_t i = 0; i < 2 * orders; i++) k[i] = (REAL)strengths[i];
  EACH {
    const REAL x = p->x[i], y = p->y[i];
    REAL a = k[6], b = k[7], c = 0, d = 0;
    HORNER(k[4], k[5])
    HORNER(k[2], k[3])
    HORNER(k[0], k[1])
    p->a[i] = a, p->b[i] = b, p->c[i] = c, p->d[i] = d;
  }
}

static void field_REAL(const double *strengths, int64_t orders, int64_t n, Particles_REAL *p) {
  if (orders <= FEW_ORDERS) {
    few_orders_REAL(strengths, orders, n, p);
    return;
  }
  EACH p->a[i] = p->b[i] = p->c[i] = p->d[i] = 0;
  for (int64_t k = orders - 1; k >= 0; k--) {
    const REAL normal = (REAL)strengths[2 * k], skew = (REAL)strengths[2 * k + 1];
    EACH {
      const REAL x = p->x[i], y = p->y[i];
      REAL a = p->a[i], b = p->b[i], c = p->c[i], d = p->d[i];
      HORNER(normal, skew)
      p->a[i] = a, p->b[i] = b, p->c[i] = c, p->d[i] = d;
    }
  }
}

static void kick_REAL(const double *numbers, int64_t count, int64_t n, Particles_REAL *p) {
  const REAL turn = (REAL)numbers[0], field = (REAL)numbers[1], gradient = (REAL)numbers[2];
  if (count == 5) { /* a dipole alone */
    const REAL normal = (REAL)numbers[3], skew = (REAL)numbers[4];
    EACH p->px[i] -= normal;
    if (skew != 0) EACH p->py[i] += skew;
  } else if (count > 5) {
    field_REAL(numbers + 3, (count - 3) / 2, n, p);
    EACH {
      p->px[i] -= p->a[i];
      p->py[i] += p->b[i];
    }
  }
  if (turn != 0) EACH {
      p->px[i] += turn * p->momentum[i];
      p->zeta[i] -= turn * p->x[i] * p->ratio[i];
    }
  if (field != 0 || gradient != 0) EACH {
      const REAL x = p->x[i], y = p->y[i];
      p->px[i] -= field * x + gradient * (x * x - (REAL)0.5 * y * y);
      p->py[i] += gradient * x * y;
    }
}

/* Gradients by the strengths: sums of powers of x + i y. */
static void strengths_back_REAL(int64_t orders, int64_t n, Particles_REAL *p, Slopes_REAL *by,
                                double *sums) {
  EACH p->e[i] = 1, p->f[i] = 0;
  for (int64_t k = 0; k < orders; k++) {
    REAL by_normal = 0, by_skew = 0;
#pragma omp simd reduction(+ : by_normal, by_skew)
    OVER {
      const REAL real = p->e[i], imaginary = p->f[i];
      by_normal += by->py[i] * imaginary - by->px[i] * real;
      by_skew += by->px[i] * imaginary + by->py[i] * real;
      p->e[i] = real * p->x[i] - imaginary * p->y[i];
      p->f[i] = real * p->y[i] + imaginary * p->x[i];
    }
    sums[2 * k] += by_normal;
    sums[2 * k + 1] += by_skew;
  }
}

/* Back through the turn of the frame and its coupling, which see the positions alone. */
static void turned_back_REAL(const double *numbers, int64_t n, Particles_REAL *p, Slopes_REAL *by,
                             double *sums) {
  const REAL turn = (REAL)numbers[0], field = (REAL)numbers[1], gradient = (REAL)numbers[2];
  REAL by_turn = 0, by_field = 0, by_gradient = 0;
#pragma omp simd reduction(+ : by_turn, by_field, by_gradient)
  OVER {
    const REAL x = p->x[i], y = p->y[i], to_px = by->px[i], to_py = by->py[i];
    const REAL momentum = p->momentum[i], late = by->zeta[i];
    by_turn += to_px * momentum - late * x * p->ratio[i];
    by_field -= to_px * x;
    by_gradient += to_py * x * y - to_px * (x * x - (REAL)0.5 * y * y);
    by->inverse[i] -= to_px * turn * momentum * momentum;
    by->ratio[i] -= late * turn * x;
    by->x[i] += gradient * (to_py * y - 2 * to_px * x) - to_px * field - late * turn * p->ratio[i];
    by->y[i] += gradient * (to_px * y + to_py * x);
  }
  sums[0] += by_turn;
  sums[1] += by_field;
  sums[2] += by_gradient;
}

static void kick_back_REAL(const double *numbers, int64_t count, int64_t wanted, int64_t n,
                           Particles_REAL *p, Slopes_REAL *by, double *sums) {
  const int64_t orders = (count - 3) / 2;
  if (wanted >> 3) strengths_back_REAL(orders, n, p, by, sums + 3);
  if (wanted & 7 || numbers[0] != 0 || numbers[1] != 0 || numbers[2] != 0)
    turned_back_REAL(numbers, n, p, by, sums);
  if (orders < 2) return;
  field_REAL(numbers + 3, orders, n, p);
  EACH {
    by->x[i] += by->py[i] * p->d[i] - by->px[i] * p->c[i];
    by->y[i] += by->px[i] * p->d[i] + by->py[i] * p->c[i];
  }
}

/* shifts of x, y and zeta; a turn about s by its cosine and sine */

static void shift_REAL(const double *numbers, int64_t n, Particles_REAL *p) {
  const REAL dx = (REAL)numbers[0], dy = (REAL)numbers[1], late = (REAL)numbers[2];
  EACH p->x[i] += dx;
  EACH p->y[i] += dy;
  EACH p->zeta[i] += late;
}

static void shift_back_REAL(int64_t n, Slopes_REAL *by, double *sums) {
  REAL by_x = 0, by_y = 0, by_zeta = 0;
#pragma omp simd reduction(+ : by_x, by_y, by_zeta)
  OVER {
    by_x += by->x[i];
    by_y += by->y[i];
    by_zeta += by->zeta[i];
  }
  sums[0] += by_x;
  sums[1] += by_y;
  sums[2] += by_zeta;
}

static void turn_REAL(const double *numbers, int64_t n, Particles_REAL *p) {
  const REAL c = (REAL)numbers[0], s = (REAL)numbers[1];
  EACH {
    const REAL x = p->x[i], px = p->px[i];
    p->x[i] = c * x + s * p->y[i];
    p->y[i] = c * p->y[i] - s * x;
    p->px[i] = c * px + s * p->py[i];
    p->py[i] = c * p->py[i] - s * px;
  }
}

static void turn_back_REAL(const double *numbers, int64_t n, Particles_REAL *p, Slopes_REAL *by,
                           double *sums) {
  const REAL c = (REAL)numbers[0], s = (REAL)numbers[1];
  REAL by_c = 0, by_s = 0;
#pragma omp simd reduction(+ : by_c, by_s)
  OVER {
    const REAL to_x = by->x[i], to_px = by->px[i], to_y = by->y[i], to_py = by->py[i];
    by_c += p->x[i] * to_x + p->y[i] * to_y + p->px[i] * to_px + p->py[i] * to_py;
    by_s += p->y[i] * to_x - p->x[i] * to_y + p->py[i] * to_px - p->px[i] * to_py;
    by->x[i] = c * to_x - s * to_y;
    by->y[i] = s * to_x + c * to_y;
    by->px[i] = c * to_px - s * to_py;
    by->py[i] = s * to_px + c * to_py;
  }
  sums[0] += by_c;
  sums[1] += by_s;
}
