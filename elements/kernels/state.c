/* Programs: rows of simple maps, forwards, and backwards with the gradients by hand. This and the
   texts of flights.c, focusing.c, kicks.c and program.c are joined, and compiled once for every precision: REAL is replaced by the type, and the names' ending _REAL by
   its name.

   A block of particles goes through the whole program while it is in the cache. Backwards it
   does so once more, noting x, px, y and py before every map, and then the maps are taken from
   the last to the first. program.py has the arguments, moves.py the maps.

   All maps leave the energy alone. They take it as P, 1/P, q = u/P and 1 - q, with
   u = 1 + beta0^2 pzeta and P^2 = 1 + pzeta (1 + u), so that a path of P f takes the time q P f;
   their gradients are added up by 1/P and by q, whose derivatives by pzeta are -u/P^3 and
   -1/(gamma0^2 P^3), without a cancellation at high energy. */

#define BLOCK 2048 /* particles at most */

#ifndef SC_MAPS
#define SC_MAPS
/* In the order of moves.py. */
enum { EXPANDED, EXACT, FOCUS, KICK, SECTOR, SOLENOID, SHIFT, TURN };
#endif

/* Rows of a block, and what its maps need besides. No two rows overlap. */
typedef struct {
  REAL *x, *px, *y, *py, *zeta;
  REAL momentum[BLOCK], inverse[BLOCK], ratio[BLOCK], slip[BLOCK];
  REAL a[BLOCK], b[BLOCK], c[BLOCK], d[BLOCK], e[BLOCK], f[BLOCK]; /* of one map */
} Particles_REAL;

/* Gradients by what comes out of a map; afterwards, by what goes into it. */
typedef struct {
  REAL *x, *px, *y, *py;
  const REAL *zeta;
  REAL inverse[BLOCK], ratio[BLOCK];
} Slopes_REAL;

#define OVER for (int64_t i = 0; i < n; i++)
#define EACH _Pragma("omp simd") OVER
#define SERIES(v, a, b, c, d, e)                                                                  \
  ((REAL)(a) + v * ((REAL)(b) + v * ((REAL)(c) + v * ((REAL)(d) + v * (REAL)(e)))))

static void energy_REAL(REAL rest, int64_t n, const REAL *pzeta, Particles_REAL *p) {
  EACH {
    const REAL u = 1 + (1 - rest) * pzeta[i], square = pzeta[i] * (1 + u);
    const REAL momentum = root_REAL(1 + square), sum = momentum + u, both = 1 / (momentum * sum);
    p->momentum[i] = momentum;
    p->inverse[i] = both * sum;
    p->ratio[i] = u * both * sum;
    /* 1 - q, without its cancellation */
    p->slip[i] = rest * square * both;
  }
}
