/* Plots as SVG; see bench_plot.h. */
#include "client/cli/bench_plot.h"

#include <math.h>
#include <string.h>

#include "client/cli/bench.h"

/* Of a plot of lines, in units of its view box. */
#define WIDTH 640.0
#define HEIGHT 300.0
#define LEFT 64.0 /* room for the numbers of the axis */
#define RIGHT 16.0
#define TOP 14.0
#define BOTTOM 44.0

#define BAR_HEIGHT 18.0
#define BAR_PITCH 26.0
#define BAR_NAME_MIN 90.0 /* room for names, */
#define BAR_NAME_MAX 320.0
#define BAR_LETTER 6.9 /* which are about so wide a letter, */
#define BAR_RIGHT 70.0 /* and for numbers */
#define TICKS_MAX 12u

struct axis {
    double low, high; /* of the values; logarithms on a logarithmic axis */
    double ticks[TICKS_MAX];
    size_t tick_count;
};

void plot_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
    }
}

/* From 0 to a round number, in steps of 1, 2 or 5 times a power of ten. */
static struct axis axis_linear(double most, size_t wanted)
{
    struct axis axis = { 0 };
    double raw = most > 0 ? most / (double)wanted : 1, power = pow(10, floor(log10(raw)));
    double step = raw / power <= 1 ? 1 : raw / power <= 2 ? 2 : raw / power <= 5 ? 5 : 10;

    step *= power;
    axis.high = step * ceil(most / step - 1e-9);
    if (axis.high <= 0)
        axis.high = step;
    while (axis.tick_count < TICKS_MAX && step * (double)axis.tick_count <= axis.high + step / 2) {
        axis.ticks[axis.tick_count] = step * (double)axis.tick_count;
        axis.tick_count++;
    }
    return axis;
}

/* Whole powers of ten around the values. */
static struct axis axis_decades(double least, double most)
{
    struct axis axis = { .low = floor(log10(least > 1 ? least : 1)) };

    axis.high = ceil(log10(most > 1 ? most : 1));
    if (axis.high <= axis.low)
        axis.high = axis.low + 1;
    for (double at = axis.low; at <= axis.high + 0.5 && axis.tick_count < TICKS_MAX; at++)
        axis.ticks[axis.tick_count++] = at;
    return axis;
}

/* As few digits as tell the ticks apart. */
static void number_print(double value, double step, char *buf, size_t size)
{
    int digits = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);

    (void)snprintf(buf, size, "%.*f", digits, value); /* some ten bytes */
}

/* A whole power of ten of nanoseconds: "100 us". */
static void decade_print(double ns, char *buf, size_t size)
{
    static const char *const units[] = { "ns", "us", "ms", "s" };
    unsigned unit = 0;

    while (ns >= 999 && unit < 3) {
        ns /= 1000;
        unit++;
    }
    (void)snprintf(buf, size, "%.0f %s", ns, units[unit]); /* some ten bytes */
}

/* Three digits that count. */
static void value_print(double value, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%.*f", value < 1 ? 3 : value < 10 ? 2 : value < 100 ? 1 : 0, value);
}

static double place_x(const struct axis *axis, double x)
{
    return LEFT + (x - axis->low) / (axis->high - axis->low) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const struct axis *axis, bool logarithmic, double y)
{
    double value = logarithmic ? log10(y > 1 ? y : 1) : y;

    return HEIGHT - BOTTOM -
           (value - axis->low) / (axis->high - axis->low) * (HEIGHT - TOP - BOTTOM);
}

static void draw_y_axis(FILE *out, const struct plot *plot, const struct axis *axis)
{
    for (size_t i = 0; i < axis->tick_count; i++) {
        double value = plot->y_time ? pow(10, axis->ticks[i]) : axis->ticks[i];
        double y = place_y(axis, plot->y_time, value);
        char text[32];

        if (plot->y_time)
            decade_print(value, text, sizeof(text));
        else
            number_print(value, axis->tick_count > 1 ? axis->ticks[1] - axis->ticks[0] : 1, text,
                         sizeof(text));
        fprintf(out,
                "<line class=\"grid\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                "<text class=\"tick\" x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4, text);
    }
}

static void draw_x_axis(FILE *out, const struct plot *plot, const struct axis *axis)
{
    for (size_t i = 0; i < axis->tick_count; i++) {
        char text[32];

        if (plot->x_names != NULL)
            (void)snprintf(text, sizeof(text), "%s", plot->x_names[i]);
        else
            number_print(axis->ticks[i], axis->tick_count > 1 ? axis->ticks[1] : 1, text,
                         sizeof(text));
        fprintf(out,
                "<text class=\"tick\" x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">%s</text>\n",
                place_x(axis, axis->ticks[i]), HEIGHT - BOTTOM + 18, text);
    }
    fprintf(out, "<line class=\"axis\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", LEFT,
            WIDTH - RIGHT, HEIGHT - BOTTOM, HEIGHT - BOTTOM);
    fprintf(out, "<text class=\"label\" x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\">%s</text>\n",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, plot->x_label);
}

static void draw_series(FILE *out, const struct plot *plot, size_t index, const struct axis *x_axis,
                        const struct axis *y_axis)
{
    const struct plot_series *series = &plot->series[index];

    fprintf(out, "<polyline class=\"line s%zu\" points=\"", index + 1);
    for (size_t i = 0; i < series->count; i++)
        fprintf(out, "%.1f,%.1f ", place_x(x_axis, series->x[i]),
                place_y(y_axis, plot->y_time, series->y[i]));
    fputs("\"/>\n", out);
    if (series->count > 40)
        return; /* a line is enough */
    for (size_t i = 0; i < series->count; i++) {
        char text[32];

        if (plot->y_time)
            (void)bench_time_print((uint64_t)series->y[i], text, sizeof(text));
        else
            value_print(series->y[i], text, sizeof(text));
        fprintf(out, "<circle class=\"dot s%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>",
                index + 1, place_x(x_axis, series->x[i]),
                place_y(y_axis, plot->y_time, series->y[i]));
        plot_text(out, series->name);
        fprintf(out, ": %s</title></circle>\n", text);
    }
}

static void draw_legend(FILE *out, const struct plot_series *series, size_t count)
{
    if (count < 2)
        return;
    fputs("<ul class=\"legend\">", out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "<li><span class=\"swatch s%zu\"></span>", i + 1);
        plot_text(out, series[i].name);
        fputs("</li>", out);
    }
    fputs("</ul>\n", out);
}

static void figure_begin(FILE *out, const char *title, double width, double height)
{
    fprintf(out,
            "<figure><figcaption>%s</figcaption>\n<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
            "aria-label=\"%s\">\n",
            title, width, height, title);
}

void plot_lines(FILE *out, const struct plot *plot)
{
    double least = INFINITY, most = 0, x_most = 0;
    struct axis x_axis, y_axis;
    char label[64];

    for (size_t s = 0; s < plot->series_count; s++) {
        const struct plot_series *series = &plot->series[s];

        for (size_t i = 0; i < series->count; i++) {
            least = fmin(least, series->y[i]);
            most = fmax(most, series->y[i]);
            x_most = fmax(x_most, series->x[i]);
        }
    }
    if (isinf(least))
        return; /* nothing was measured */
    y_axis = plot->y_time ? axis_decades(least, most) : axis_linear(most, 6);
    if (plot->x_names != NULL) { /* half a step of air on both sides */
        x_axis = (struct axis){ .low = -0.5, .high = (double)plot->x_name_count - 0.5 };
        while (x_axis.tick_count < plot->x_name_count && x_axis.tick_count < TICKS_MAX) {
            x_axis.ticks[x_axis.tick_count] = (double)x_axis.tick_count;
            x_axis.tick_count++;
        }
    } else {
        x_axis = axis_linear(x_most, 6);
        x_axis.high = x_most > 0 ? x_most : x_axis.high; /* a line ends at the edge */
        while (x_axis.tick_count > 1 && x_axis.ticks[x_axis.tick_count - 1] > x_axis.high)
            x_axis.tick_count--;
    }
    (void)snprintf(label, sizeof(label), "%s%s%s", plot->title, *plot->y_label != '\0' ? ", " : "",
                   plot->y_label);
    figure_begin(out, label, WIDTH, HEIGHT);
    draw_y_axis(out, plot, &y_axis);
    draw_x_axis(out, plot, &x_axis);
    for (size_t s = 0; s < plot->series_count; s++)
        draw_series(out, plot, s, &x_axis, &y_axis);
    fputs("</svg>\n", out);
    draw_legend(out, plot->series, plot->series_count);
    fputs("</figure>\n", out);
}

static double bar_sum(const struct plot_bar *bar)
{
    double sum = 0;

    for (size_t k = 0; k < PLOT_PARTS_MAX; k++)
        sum += bar->values[k];
    return sum;
}

void plot_bars(FILE *out, const char *title, const char *unit, const char *const *parts,
               size_t part_count, const struct plot_bar *bars, size_t count)
{
    double most = 0, left = BAR_NAME_MIN, height = BAR_PITCH * (double)count + 8;
    char label[96];

    for (size_t i = 0; i < count; i++) {
        most = fmax(most, bar_sum(&bars[i]));
        left = fmax(left, BAR_LETTER * (double)strlen(bars[i].name) + 10);
    }
    left = fmin(left, BAR_NAME_MAX);
    if (most <= 0)
        return;
    (void)snprintf(label, sizeof(label), "%s, %s", title, unit);
    figure_begin(out, label, WIDTH, height);
    for (size_t i = 0; i < count; i++) {
        double y = BAR_PITCH * (double)i + 4, x = left;

        fprintf(out, "<text class=\"tick\" x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">", left - 8,
                y + 13);
        plot_text(out, bars[i].name);
        fputs("</text>\n", out);
        for (size_t k = 0; k < PLOT_PARTS_MAX; k++) {
            double width = bars[i].values[k] / most * (WIDTH - left - BAR_RIGHT);

            if (bars[i].values[k] <= 0)
                continue;
            fprintf(out,
                    "<rect class=\"bar s%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                    "height=\"%.0f\"/>\n",
                    k + 1, x, y, width, BAR_HEIGHT);
            x += width + 1;
        }
        value_print(bar_sum(&bars[i]), label, sizeof(label));
        fprintf(out, "<text class=\"value\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x + 5, y + 13,
                label);
    }
    fputs("</svg>\n", out);
    for (size_t k = 0; parts != NULL && k < part_count; k++)
        fprintf(out, "%s<li><span class=\"swatch s%zu\"></span>%s</li>%s",
                k == 0 ? "<ul class=\"legend\">" : "", k + 1, parts[k],
                k + 1 == part_count ? "</ul>\n" : "");
    fputs("</figure>\n", out);
}
