/* Linear focusing, forwards and backwards: a quadrupole, and a solenoid. */

/* c2 and c3 of the numbers in f, in a and b, and of their negatives, in c and d:
   (1 - cos t)/t^2 and (1 - sin t/t)/t^2 of t^2 = f, by the series for a fraction of it and the
   formulas of the doubled angle. */
static void stumpff_REAL(int64_t n, Particles_REAL *p) {
  REAL largest = 0;
#pragma omp simd reduction(max : largest)
  OVER {
    const REAL size = p->f[i] < 0 ? -p->f[i] : p->f[i];
    largest = size > largest ? size : largest;
  }
  int doublings = 0;
  REAL share = 1;
  for (; largest > 1 && doublings < 30; doublings++) largest /= 4, share /= 4;
  EACH {
    const REAL u = share * p->f[i], v = u * u;
    const REAL even2 =
        SERIES(v, 1.0 / 2, 1.0 / 720, 1.0 / 3628800, 1.0 / 87178291200, 1.0 / 6402373705728000);
    const REAL odd2 =
        SERIES(v, 1.0 / 24, 1.0 / 40320, 1.0 / 479001600, 1.0 / 20922789888000, 0);
    const REAL even3 = SERIES(v, 1.0 / 6, 1.0 / 5040, 1.0 / 39916800, 1.0 / 1307674368000,
                              1.0 / 121645100408832000);
    const REAL odd3 =
        SERIES(v, 1.0 / 120, 1.0 / 362880, 1.0 / 6227020800, 1.0 / 355687428096000, 0);
    p->a[i] = even2 - u * odd2;
    p->b[i] = even3 - u * odd3;
    p->c[i] = even2 + u * odd2;
    p->d[i] = even3 + u * odd3;
  }
  for (int k = 0; k < doublings; k++, share *= 4)
    EACH {
      const REAL u = share * p->f[i];
      const REAL sine = 1 - u * p->b[i], other = 1 + u * p->d[i];
      p->b[i] = (p->b[i] + sine * p->a[i]) / 4;
      p->a[i] = sine * sine / 2;
      p->d[i] = (p->d[i] + other * p->c[i]) / 4;
      p->c[i] = other * other / 2;
    }
}

/* A quadrupole: length and gradient. */
static void focus_REAL(const double *numbers, int64_t n, Particles_REAL *p) {
  const REAL length = (REAL)numbers[0], gradient = (REAL)numbers[1], area = length * length;
  EACH p->f[i] = gradient * area * p->inverse[i];
  stumpff_REAL(n, p);
  EACH {
    const REAL r = p->inverse[i], k = gradient * r, u = k * area;
    const REAL x = p->x[i], w = p->px[i] * r, y = p->y[i], v = p->py[i] * r;
    const REAL c = 1 - u * p->a[i], s = length * (1 - u * p->b[i]);
    const REAL ch = 1 + u * p->c[i], sh = length * (1 + u * p->d[i]);
    /* paths in excess of the length */
    const REAL in_x = (REAL)0.25 * (k * x * x * (length - s * c) + w * w * (length + s * c)) -
                      (REAL)0.5 * k * x * w * s * s;
    const REAL in_y = (REAL)0.25 * (v * v * (length + sh * ch) - k * y * y * (length - sh * ch)) +
                      (REAL)0.5 * k * y * v * sh * sh;
    p->x[i] = x * c + w * s;
    p->px[i] = p->px[i] * c - gradient * x * s;
    p->y[i] = y * ch + v * sh;
    p->py[i] = p->py[i] * ch + gradient * y * sh;
    p->zeta[i] += length * p->slip[i] - (in_x + in_y) * p->ratio[i];
  }
}

/* One plane of a quadrupole backwards: `x` and `w`, position and slope of which the Stumpff
   functions are c2 and c3, focused by k. To be read as if written twice. */
#define PLANE_BACK(NAME, X, P, C2, C3, SIGN)                                                      \
  const REAL NAME##k = SIGN k, NAME##x = p->X[i], NAME##w = p->P[i] * r;                          \
  const REAL NAME##u = NAME##k * area, NAME##c = 1 - NAME##u * p->C2[i];                          \
  const REAL NAME##s = length * (1 - NAME##u * p->C3[i]), NAME##m = NAME##s * NAME##c;            \
  const REAL NAME##t = (REAL)0.5 * length * area * (p->C3[i] - p->C2[i]); /* ds/dk */             \
  const REAL NAME##n = NAME##t * NAME##c - (REAL)0.5 * length * NAME##s * NAME##s; /* dm/dk */    \
  const REAL NAME##o = NAME##w * NAME##c - NAME##k * NAME##x * NAME##s; /* slope behind */        \
  const REAL NAME##q = NAME##k * NAME##x;                                                         \
  const REAL NAME##e = (REAL)0.25 * (NAME##q * NAME##x * (length - NAME##m) +                     \
                                     NAME##w * NAME##w * (length + NAME##m)) -                    \
                       (REAL)0.5 * NAME##q * NAME##w * NAME##s * NAME##s;                         \
  const REAL NAME##h = by->P[i] * p->momentum[i], NAME##g = by->X[i];                             \
  const REAL NAME##to_k =                                                                         \
      NAME##g * (NAME##w * NAME##t - (REAL)0.5 * NAME##x * length * NAME##s) -                    \
      NAME##h * ((REAL)0.5 * NAME##w * length * NAME##s + NAME##x * NAME##s + NAME##q * NAME##t) + \
      early * ((REAL)0.25 * (NAME##x * NAME##x * (length - NAME##m) -                             \
                             NAME##q * NAME##x * NAME##n + NAME##w * NAME##w * NAME##n) -         \
               NAME##x * NAME##w * NAME##s * ((REAL)0.5 * NAME##s + NAME##k * NAME##t));          \
  const REAL NAME##to_w = NAME##g * NAME##s + NAME##h * NAME##c +                                 \
                          early * (REAL)0.5 *                                                     \
                              (NAME##w * (length + NAME##m) - NAME##q * NAME##s * NAME##s);       \
  by_length += NAME##g * NAME##o - NAME##h * NAME##q * NAME##c - NAME##h * NAME##k * NAME##w *    \
                   NAME##s + early * (REAL)0.5 * NAME##o * NAME##o;                               \
  by->X[i] = NAME##g * NAME##c - NAME##h * NAME##k * NAME##s +                                    \
             early * (REAL)0.5 * NAME##k *                                                        \
                 (NAME##x * (length - NAME##m) - NAME##w * NAME##s * NAME##s);                    \
  by->inverse[i] += NAME##to_w * p->P[i] - NAME##h * NAME##o * p->momentum[i];                    \
  by->P[i] = NAME##to_w * r;

static void focus_back_REAL(const double *numbers, int64_t n, Particles_REAL *p, Slopes_REAL *by,
                            double *sums) {
  const REAL length = (REAL)numbers[0], gradient = (REAL)numbers[1], area = length * length;
  REAL by_length = 0, by_gradient = 0;
  EACH p->f[i] = gradient * area * p->inverse[i];
  stumpff_REAL(n, p);
#pragma omp simd reduction(+ : by_length, by_gradient)
  OVER {
    const REAL r = p->inverse[i], k = gradient * r, early = -by->zeta[i] * p->ratio[i];
    PLANE_BACK(h, x, px, a, b, +)
    PLANE_BACK(v, y, py, c, d, -)
    const REAL to_k = hto_k - vto_k;
    by_gradient += to_k * r;
    by_length += by->zeta[i] * p->slip[i];
    by->inverse[i] += to_k * gradient;
    by->ratio[i] -= by->zeta[i] * (length + he + ve);
  }
  sums[0] += by_length;
  sums[1] += by_gradient;
}

/* A solenoid: length and half of ks. */

/* Flight in e, the square of the turn that it makes in f, and its functions in a and b. */
static void turns_REAL(REAL length, REAL half, int64_t n, Particles_REAL *p) {
  EACH {
    const REAL kx = p->px[i] + half * p->y[i], ky = p->py[i] - half * p->x[i];
    const REAL flight = length / root_REAL(p->momentum[i] * p->momentum[i] - kx * kx - ky * ky);
    p->e[i] = flight;
    p->f[i] = half * half * flight * flight;
  }
  stumpff_REAL(n, p);
}

static void solenoid_REAL(const double *numbers, int64_t n, Particles_REAL *p) {
  const REAL length = (REAL)numbers[0], half = (REAL)numbers[1];
  turns_REAL(length, half, n, p);
  EACH {
    const REAL x = p->x[i], px = p->px[i], y = p->y[i], py = p->py[i], momentum = p->momentum[i];
    const REAL kx = px + half * y, ky = py - half * x, transverse = kx * kx + ky * ky;
    const REAL pz = root_REAL(momentum * momentum - transverse);
    const REAL c = 1 - p->f[i] * p->a[i], reach = p->e[i] * (1 - p->f[i] * p->b[i]);
    const REAL s = half * reach, pull = half * s;
    const REAL x1 = c * x + s * y, px1 = c * px + s * py;
    const REAL y1 = c * y - s * x, py1 = c * py - s * px;
    p->x[i] = c * x1 + reach * px1;
    p->px[i] = c * px1 - pull * x1;
    p->y[i] = c * y1 + reach * py1;
    p->py[i] = c * py1 - pull * y1;
    p->zeta[i] += length * (p->slip[i] - transverse * p->ratio[i] / (pz * (pz + momentum)));
  }
}

static void solenoid_back_REAL(const double *numbers, int64_t n, Particles_REAL *p,
                               Slopes_REAL *by, double *sums) {
  const REAL length = (REAL)numbers[0], half = (REAL)numbers[1];
  REAL by_length = 0, by_half = 0;
  turns_REAL(length, half, n, p);
#pragma omp simd reduction(+ : by_length, by_half)
  OVER {
    const REAL x = p->x[i], px = p->px[i], y = p->y[i], py = p->py[i], momentum = p->momentum[i];
    const REAL kx = px + half * y, ky = py - half * x, transverse = kx * kx + ky * ky;
    const REAL pz = root_REAL(momentum * momentum - transverse), f = 1 / pz, flight = p->e[i];
    const REAL c = 1 - p->f[i] * p->a[i], reach = flight * (1 - p->f[i] * p->b[i]);
    const REAL s = half * reach, pull = half * s;
    const REAL x1 = c * x + s * y, px1 = c * px + s * py;
    const REAL y1 = c * y - s * x, py1 = c * py - s * px;
    const REAL to_x = by->x[i], to_px = by->px[i], to_y = by->y[i], to_py = by->py[i];
    const REAL late = by->zeta[i] * length * p->ratio[i];
    /* back through the focusing, and through the rotation */
    const REAL hx = c * to_x - pull * to_px, hpx = reach * to_x + c * to_px;
    const REAL hy = c * to_y - pull * to_py, hpy = reach * to_y + c * to_py;
    const REAL bent = x1 * to_px + y1 * to_py;
    const REAL to_s = y * hx - x * hy + py * hpx - px * hpy;
    const REAL to_c = x1 * to_x + px1 * to_px + y1 * to_y + py1 * to_py + x * hx + y * hy +
                      px * hpx + py * hpy;
    const REAL to_reach = px1 * to_x + py1 * to_y - half * half * bent + half * to_s;
    const REAL slope = half * flight * flight * flight * (p->b[i] - p->a[i]); /* d reach/d half */
    const REAL to_flight = to_reach * c - to_c * s * half;
    const REAL to_pz = (late * momentum * f - to_flight * flight) * f;
    const REAL to_kx = -kx * to_pz * f, to_ky = -ky * to_pz * f;
    by_half += reach * to_s - 2 * s * bent - to_c * s * flight + to_reach * slope + y * to_kx -
               x * to_ky;
    by_length += to_flight * f + by->zeta[i] * (p->slip[i] - transverse * p->ratio[i] * f /
                                                                 (pz + momentum));
    by->inverse[i] += momentum * momentum * f * f *
                      (to_flight * flight * momentum - late * transverse * f);
    by->ratio[i] -= by->zeta[i] * length * momentum * f;
    by->x[i] = c * hx - s * hy - half * to_ky;
    by->y[i] = s * hx + c * hy + half * to_kx;
    by->px[i] = c * hpx - s * hpy + to_kx;
    by->py[i] = s * hpx + c * hpy + to_ky;
  }
  sums[0] += by_length;
  sums[1] += by_half;
}
