/* Free flight, forwards and backwards: expanded, exact, and between the faces of a sector. */

static void expanded_REAL(const double *numbers, int64_t n, Particles_REAL *p) {
  const REAL length = (REAL)numbers[0];
  EACH {
    const REAL reach = length * p->inverse[i], px = p->px[i], py = p->py[i];
    p->x[i] += reach * px;
    p->y[i] += reach * py;
    const REAL bent = (REAL)0.5 * (px * px + py * py) * p->inverse[i] * p->inverse[i];
    p->zeta[i] += length * (p->slip[i] - bent * p->ratio[i]);
  }
}

static void expanded_back_REAL(const double *numbers, int64_t n, Particles_REAL *p,
                               Slopes_REAL *by, double *sums) {
  const REAL length = (REAL)numbers[0];
  REAL total = 0;
#pragma omp simd reduction(+ : total)
  OVER {
    const REAL px = p->px[i], py = p->py[i], r = p->inverse[i], q = p->ratio[i];
    const REAL late = by->zeta[i], square = px * px + py * py;
    const REAL across = px * by->x[i] + py * by->y[i], pull = late * r * q;
    const REAL half = (REAL)0.5 * square * r * r;
    total += r * across + late * (p->slip[i] - half * q);
    by->px[i] += length * r * (by->x[i] - pull * px);
    by->py[i] += length * r * (by->y[i] - pull * py);
    by->inverse[i] += length * (across - pull * square);
    by->ratio[i] -= length * late * (1 + half);
  }
  sums[0] += total;
}

static void exact_REAL(const double *numbers, int64_t n, Particles_REAL *p) {
  const REAL length = (REAL)numbers[0];
  EACH {
    const REAL px = p->px[i], py = p->py[i], momentum = p->momentum[i];
    const REAL transverse = px * px + py * py, square = momentum * momentum;
    const REAL pz = root_REAL(square - transverse), reach = length / pz;
    p->x[i] += reach * px;
    p->y[i] += reach * py;
    /* pz - u, without its cancellation */
    const REAL gap = p->slip[i] * (1 + p->ratio[i]) * square - transverse;
    p->zeta[i] += reach * gap / (pz + p->ratio[i] * momentum);
  }
}

static void exact_back_REAL(const double *numbers, int64_t n, Particles_REAL *p, Slopes_REAL *by,
                            double *sums) {
  const REAL length = (REAL)numbers[0];
  REAL total = 0;
#pragma omp simd reduction(+ : total)
  OVER {
    const REAL px = p->px[i], py = p->py[i], momentum = p->momentum[i], q = p->ratio[i];
    const REAL late = by->zeta[i], transverse = px * px + py * py, square = momentum * momentum;
    const REAL pz = root_REAL(square - transverse), f = 1 / pz, reach = length * f;
    const REAL across = px * by->x[i] + py * by->y[i];
    const REAL pull = f * f * (across - late * q * momentum);
    total += f * (across + late * (p->slip[i] * (1 + q) * square - transverse) /
                               (pz + q * momentum));
    by->px[i] += reach * (by->x[i] + px * pull);
    by->py[i] += reach * (by->y[i] + py * pull);
    by->inverse[i] += reach * f * f * square * (across * momentum - late * q * transverse);
    by->ratio[i] -= reach * late * momentum;
  }
  sums[0] += total;
}

/* Free flight between the faces of a frame: cosine, sine, sagitta, width, length. */
static void sector_REAL(const double *numbers, int64_t n, Particles_REAL *p) {
  const REAL c = (REAL)numbers[0], s = (REAL)numbers[1], sagitta = (REAL)numbers[2];
  const REAL width = (REAL)numbers[3], length = (REAL)numbers[4];
  EACH {
    const REAL x = p->x[i], px = p->px[i], py = p->py[i], momentum = p->momentum[i];
    const REAL pz = root_REAL(momentum * momentum - px * px - py * py);
    const REAL turned = px * c + pz * s;
    const REAL flight = (x * s + width) / (pz * c - px * s);
    p->x[i] = x * c - sagitta + turned * flight;
    p->px[i] = turned;
    p->y[i] += py * flight;
    p->zeta[i] += length * p->slip[i] -
                  p->ratio[i] * momentum * (flight - length * p->inverse[i]);
  }
}

static void sector_back_REAL(const double *numbers, int64_t n, Particles_REAL *p, Slopes_REAL *by,
                             double *sums) {
  const REAL c = (REAL)numbers[0], s = (REAL)numbers[1], width = (REAL)numbers[3];
  REAL by_c = 0, by_s = 0, by_sagitta = 0, by_width = 0, by_length = 0;
#pragma omp simd reduction(+ : by_c, by_s, by_sagitta, by_width, by_length)
  OVER {
    const REAL x = p->x[i], px = p->px[i], py = p->py[i], momentum = p->momentum[i];
    const REAL q = p->ratio[i], late = by->zeta[i], to_x = by->x[i];
    const REAL pz = root_REAL(momentum * momentum - px * px - py * py);
    const REAL turned = px * c + pz * s, forward = 1 / (pz * c - px * s);
    const REAL flight = (x * s + width) * forward;
    const REAL to_flight = to_x * turned + by->y[i] * py - late * q * momentum;
    const REAL to_distance = to_flight * forward, to_forward = -to_distance * flight;
    const REAL to_turned = by->px[i] + to_x * flight;
    const REAL pull = (to_turned * s + to_forward * c) / pz;
    by_c += to_x * x + to_turned * px + to_forward * pz;
    by_s += to_turned * pz - to_forward * px + to_distance * x;
    by_sagitta -= to_x;
    by_width += to_distance;
    by_length += late;
    by->x[i] = to_x * c + to_distance * s;
    by->px[i] = to_turned * c - to_forward * s - pull * px;
    by->py[i] += by->y[i] * flight - pull * py;
    by->inverse[i] -= momentum * momentum * (pull * momentum - late * q * flight);
    by->ratio[i] -= late * momentum * flight;
  }
  sums[0] += by_c;
  sums[1] += by_s;
  sums[2] += by_sagitta;
  sums[3] += by_width;
  sums[4] += by_length;
}
