/* Statistics of one column of a table: an example of a program for the mesh, in C.
 *
 * `columns TABLE COLUMN` reads a table of comma-separated values whose first line names the columns, computes count, mean,
 * standard deviation, least and greatest value of column number COLUMN (from 0), writes them to standard output as one
 * line, and a histogram to /out/histogram-COLUMN.txt. As a job with one task for each of five columns:
 *
 *     pocketmesh run columns.wasm -i table.csv:table.csv --range 0..5 -o result -- /in/table.csv '{index}'
 *
 * Values that are no numbers are counted and left out. Exit codes: 0, 1 what cannot be read or written, 2 wrong usage.
 */

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 65536, BINS = 20, BAR_WIDTH = 60 };

struct column {
    double *values;
    size_t count, room, missing;
};

/* The start of field `wanted` of a line, cut off at its end; NULL if the line has fewer fields. */
static char *field(char *line, long wanted) {
    line[strcspn(line, "\r\n")] = '\0';
    for (; wanted > 0; wanted--) {
        line = strchr(line, ',');
        if (line == NULL)
            return NULL;
        line++;
    }
    line[strcspn(line, ",")] = '\0';
    return line;
}

static void add(struct column *column, const char *text) {
    char *end = NULL;
    double value = text == NULL ? 0 : strtod(text, &end);
    if (text == NULL || end == text || *end != '\0' || !isfinite(value)) {
        column->missing++;
        return;
    }
    if (column->count == column->room) {
        column->room = column->room ? 2 * column->room : 1024;
        column->values = realloc(column->values, column->room * sizeof *column->values);
        if (column->values == NULL) {
            /* The memory limit of the task, the same on every peer. */
            fputs("columns: out of memory: raise --memory\n", stderr);
            exit(1);
        }
    }
    column->values[column->count++] = value;
}

/* Sums with their rounding errors carried along (Neumaier), so that the order of magnitudes does not matter. */
static double sum(const struct column *column, double centre, int power) {
    double total = 0, error = 0;
    for (size_t i = 0; i < column->count; i++) {
        double difference = column->values[i] - centre;
        double term = power == 2 ? difference * difference : difference;
        double next = total + term;
        error += fabs(total) >= fabs(term) ? (total - next) + term : (term - next) + total;
        total = next;
    }
    return total + error;
}

static int write_histogram(const struct column *column, long number, double least, double greatest) {
    size_t bins[BINS] = {0}, fullest = 1;
    double width = (greatest - least) / BINS;
    for (size_t i = 0; i < column->count; i++) {
        size_t bin = width > 0 ? (size_t)((column->values[i] - least) / width) : 0;
        bin = bin < BINS ? bin : BINS - 1;
        if (++bins[bin] > fullest)
            fullest = bins[bin];
    }
    char path[64];
    snprintf(path, sizeof path, "/out/histogram-%ld.txt", number);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return fprintf(stderr, "columns: %s: %s\n", path, strerror(errno)), 1;
    for (int bin = 0; bin < BINS; bin++) {
        int length = (int)(bins[bin] * BAR_WIDTH / fullest);
        fprintf(file, "%14.6g %8zu %.*s\n", least + bin * width, bins[bin], length,
                "############################################################");
    }
    return fclose(file) == 0 ? 0 : 1;
}

static int report(const struct column *column, long number, const char *name) {
    if (column->count == 0)
        return printf("%ld %s: no numbers, %zu other values\n", number, name, column->missing), 0;
    double least = INFINITY, greatest = -INFINITY;
    for (size_t i = 0; i < column->count; i++) {
        least = fmin(least, column->values[i]);
        greatest = fmax(greatest, column->values[i]);
    }
    double mean = sum(column, 0, 1) / column->count;
    double deviation = sqrt(sum(column, mean, 2) / column->count);
    printf("%ld %s: count %zu, mean %.12g, deviation %.12g, least %.12g, greatest %.12g, other values %zu\n", number,
           name, column->count, mean, deviation, least, greatest, column->missing);
    return write_histogram(column, number, least, greatest);
}

int main(int argc, char **argv) {
    char *end = NULL;
    long number = argc == 3 ? strtol(argv[2], &end, 10) : -1;
    if (number < 0 || *end != '\0')
        return fputs("usage: columns TABLE COLUMN\n", stderr), 2;
    FILE *table = fopen(argv[1], "r");
    static char line[LINE_BYTES], name[256];
    if (table == NULL || fgets(line, sizeof line, table) == NULL)
        return fprintf(stderr, "columns: %s: %s\n", argv[1], table ? "no first line" : strerror(errno)), 1;
    const char *title = field(line, number);
    if (title == NULL)
        return fprintf(stderr, "columns: %s has no column %ld\n", argv[1], number), 2;
    snprintf(name, sizeof name, "%s", title);
    struct column column = {0};
    while (fgets(line, sizeof line, table) != NULL)
        add(&column, field(line, number));
    fclose(table);
    return report(&column, number, name);
}
