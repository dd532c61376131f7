/* The transform of the doubled grid, times that of the Green function. The text is compiled once
   for every precision: REAL is replaced by the type, and the names' ending _REAL by its name. */

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
