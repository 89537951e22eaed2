/* Many inputs side by side, one to a lane. blake3_impl.h includes this once for each width, with
 * LANES defined: 4, 8 or 16. */
#if LANES == 4
#define NAME(name) lanes4_##name
#define LOW_32 0, 4, 1, 5
#define HIGH_32 2, 6, 3, 7
#define LOW_64 0, 1, 4, 5
#define HIGH_64 2, 3, 6, 7
#define TURN(turn) TURN_ROW(turn, 0)
#elif LANES == 8
#define NAME(name) lanes8_##name
#define LOW_32 0, 8, 1, 9, 4, 12, 5, 13
#define HIGH_32 2, 10, 3, 11, 6, 14, 7, 15
#define LOW_64 0, 1, 8, 9, 4, 5, 12, 13
#define HIGH_64 2, 3, 10, 11, 6, 7, 14, 15
#define EVEN_128 0, 1, 2, 3, 8, 9, 10, 11
#define ODD_128 4, 5, 6, 7, 12, 13, 14, 15
#define TURN(turn) TURN_ROW(turn, 0), TURN_ROW(turn, 16)
#else
#define NAME(name) lanes16_##name
#define LOW_32 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define HIGH_32 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define LOW_64 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGH_64 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define EVEN_128 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define ODD_128 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
#endif

typedef uint32_t NAME(words) __attribute__((vector_size(4 * LANES)));
#define WORDS NAME(words)

#if defined(__AVX512VL__)
#define TURNED(x, turn, bits) ROTATE_BITS(x, bits)
#else
typedef uint8_t NAME(bytes) __attribute__((vector_size(4 * LANES)));
#define TURNED(x, turn, bits) ((WORDS)SHUFFLE((NAME(bytes))(x), (NAME(bytes))(x), TURN(turn)))
#endif

static inline WORDS NAME(turn16)(WORDS x)
{
    return TURNED(x, TURN_16, 16);
}

static inline WORDS NAME(turn8)(WORDS x)
{
    return TURNED(x, TURN_8, 8);
}

/* Four rows at a time, within each 128 bits: row 4g+k becomes the words of column k, one for each
 * of the four rows. */
static inline void NAME(quads)(WORDS *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i += 4) {
        WORDS low01 = SHUFFLE(rows[i], rows[i + 1], LOW_32);
        WORDS high01 = SHUFFLE(rows[i], rows[i + 1], HIGH_32);
        WORDS low23 = SHUFFLE(rows[i + 2], rows[i + 3], LOW_32);
        WORDS high23 = SHUFFLE(rows[i + 2], rows[i + 3], HIGH_32);

        rows[i] = SHUFFLE(low01, low23, LOW_64);
        rows[i + 1] = SHUFFLE(low01, low23, HIGH_64);
        rows[i + 2] = SHUFFLE(high01, high23, LOW_64);
        rows[i + 3] = SHUFFLE(high01, high23, HIGH_64);
    }
}

/* LANES rows of as many words change places with their columns. */
static inline void NAME(transpose)(WORDS rows[LANES])
{
    NAME(quads)(rows, LANES);
#if LANES == 8
    for (unsigned k = 0; k < 4; k++) {
        WORDS first = rows[k], second = rows[k + 4];

        rows[k] = SHUFFLE(first, second, EVEN_128);
        rows[k + 4] = SHUFFLE(first, second, ODD_128);
    }
#elif LANES == 16
    for (unsigned k = 0; k < 4; k++) {
        WORDS even01 = SHUFFLE(rows[k], rows[k + 4], EVEN_128);
        WORDS odd01 = SHUFFLE(rows[k], rows[k + 4], ODD_128);
        WORDS even23 = SHUFFLE(rows[k + 8], rows[k + 12], EVEN_128);
        WORDS odd23 = SHUFFLE(rows[k + 8], rows[k + 12], ODD_128);

        rows[k] = SHUFFLE(even01, even23, EVEN_128);
        rows[k + 4] = SHUFFLE(odd01, odd23, EVEN_128);
        rows[k + 8] = SHUFFLE(even01, even23, ODD_128);
        rows[k + 12] = SHUFFLE(odd01, odd23, ODD_128);
    }
#endif
}

/* One block of each input: word i of all of them to m[i]. */
static inline void NAME(load)(const uint8_t *const inputs[LANES], size_t offset, WORDS m[16])
{
    for (unsigned part = 0; part < 16; part += LANES) {
        for (unsigned lane = 0; lane < LANES; lane++)
            memcpy(&m[part + lane], inputs[lane] + offset + 4 * part, sizeof(WORDS));
        NAME(transpose)(&m[part]);
    }
}

/* Eight words for each lane, 32 bytes one lane after the other. */
static inline void NAME(store)(WORDS h[8], uint8_t *out)
{
#if LANES == 4
    NAME(transpose)(h);
    NAME(transpose)(h + 4);
    for (unsigned lane = 0; lane < 4; lane++) {
        memcpy(out + 32 * lane, &h[lane], 16);
        memcpy(out + 32 * lane + 16, &h[lane + 4], 16);
    }
#elif LANES == 8
    NAME(transpose)(h);
    memcpy(out, h, 256);
#else
    NAME(quads)(h, 8);
    for (unsigned k = 0; k < 4; k++) {
        row quarters[8] = {
            SHUFFLE(h[k], h[k], 0, 1, 2, 3),           SHUFFLE(h[k], h[k], 4, 5, 6, 7),
            SHUFFLE(h[k], h[k], 8, 9, 10, 11),         SHUFFLE(h[k], h[k], 12, 13, 14, 15),
            SHUFFLE(h[k + 4], h[k + 4], 0, 1, 2, 3),   SHUFFLE(h[k + 4], h[k + 4], 4, 5, 6, 7),
            SHUFFLE(h[k + 4], h[k + 4], 8, 9, 10, 11), SHUFFLE(h[k + 4], h[k + 4], 12, 13, 14, 15)
        };

        for (unsigned j = 0; j < 4; j++) {
            memcpy(out + 32 * (4 * j + k), &quarters[j], 16);
            memcpy(out + 32 * (4 * j + k) + 16, &quarters[j + 4], 16);
        }
    }
#endif
}

#define NAME_ROTATE(x, bits)                                                                       \
    ((bits) == 16 ? NAME(turn16)(x) : (bits) == 8 ? NAME(turn8)(x) : ROTATE_BITS(x, bits))

/* Up to @sets times LANES of the @left inputs from @index on; returns how many. @sets is 1 or 2, a
 * constant: one compression is a chain of operations, each of which waits for the one before, so
 * two of them beside each other fill the gaps where there are registers for both. */
static inline __attribute__((always_inline)) size_t NAME(some)(const struct hsr_blake3_batch *batch,
                                                               size_t index, size_t left,
                                                               uint8_t *out, const unsigned sets)
{
    const uint8_t *inputs[2 * LANES];
    uint32_t low[2 * LANES], high[2 * LANES];
    WORDS h[2][8], v[2][16], m[2][16], counter_low[2], counter_high[2];
    uint8_t values[2 * LANES * 32];
    size_t all = sets * LANES, count = left < all ? left : all;

    for (size_t lane = 0; lane < all; lane++) { /* lanes too many do the first one's work again */
        size_t input = index + (lane < count ? lane : 0);
        uint64_t counter = batch->counter + (input & batch->counter_mask);

        inputs[lane] = batch->bytes + input * batch->stride;
        low[lane] = (uint32_t)counter;
        high[lane] = (uint32_t)(counter >> 32);
    }
    for (unsigned set = 0; set < sets; set++) {
        memcpy(&counter_low[set], low + set * LANES, sizeof(WORDS));
        memcpy(&counter_high[set], high + set * LANES, sizeof(WORDS));
        for (unsigned i = 0; i < 8; i++)
            h[set][i] = (WORDS){ 0 } + batch->key[i];
    }

    for (uint32_t block = 0; block < batch->blocks; block++) {
        uint32_t flags = batch->flags;

        flags |= block == 0 ? batch->flags_first : 0;
        flags |= block == batch->blocks - 1 ? batch->flags_last : 0;
        for (unsigned set = 0; set < sets; set++) {
            NAME(load)(inputs + set * LANES, block * HSR_BLAKE3_BLOCK_SIZE, m[set]);
            for (unsigned i = 0; i < 8; i++)
                v[set][i] = h[set][i];
            for (unsigned i = 0; i < 4; i++)
                v[set][i + 8] = (WORDS){ 0 } + hsr_blake3_iv[i];
            v[set][12] = counter_low[set];
            v[set][13] = counter_high[set];
            v[set][14] = (WORDS){ 0 } + HSR_BLAKE3_BLOCK_SIZE;
            v[set][15] = (WORDS){ 0 } + flags;
        }
#define ROUND(...)                                                                                 \
    HSR_BLAKE3_ROUND(v[0], m[0], NAME_ROTATE, __VA_ARGS__);                                        \
    if (sets == 2)                                                                                 \
    HSR_BLAKE3_ROUND(v[1], m[1], NAME_ROTATE, __VA_ARGS__)
        HSR_BLAKE3_ROUNDS(ROUND);
#undef ROUND
        for (unsigned set = 0; set < sets; set++)
            for (unsigned i = 0; i < 8; i++)
                h[set][i] = v[set][i] ^ v[set][i + 8];
    }
    for (unsigned set = 0; set < sets; set++)
        NAME(store)(h[set], (count == all ? out : values) + set * LANES * 32);
    if (count < all)
        memcpy(out, values, 32 * count);
    return count;
}

static size_t NAME(hash)(const struct hsr_blake3_batch *batch, size_t index, size_t left,
                         uint8_t *out)
{
    return NAME(some)(batch, index, left, out, 1);
}

#if LANES == WIDEST
static size_t NAME(hash_twice)(const struct hsr_blake3_batch *batch, size_t index, size_t left,
                               uint8_t *out)
{
    return NAME(some)(batch, index, left, out, 2);
}
#endif

#undef NAME
#undef LOW_32
#undef HIGH_32
#undef LOW_64
#undef HIGH_64
#undef EVEN_128
#undef ODD_128
#undef TURN
#undef WORDS
#undef TURNED
#undef NAME_ROTATE
