/* What the compiled files share: where things stand in an index (gitformat-index(5)), and a path within one. */

#ifndef BM_GITINDEX_NATIVE_H
#define BM_GITINDEX_NATIVE_H

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifndef __linux__
#error "written for Linux; elsewhere Python does the same"
#endif

#include <stdint.h>
#include <string.h>

enum { HEADER_BYTES = 12, STAT_BYTES = 40, ID_AT = 40, FLAGS_AT = 60, NAME_AT = 62, ID_BYTES = 20 };
enum { EXTENDED = 0x4000, STAGE = 0x3000, NAME_LENGTH = 0x0FFF, KNOWN_EXTENDED = 0x6000 };

typedef struct {
    const char *start; /* within the index */
    uint32_t length;
} Path;

static inline uint32_t load_be(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* As git sorts an index: by bytes. */
static inline int order_of(const Path *a, const Path *b)
{
    int order = memcmp(a->start, b->start, a->length < b->length ? a->length : b->length);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

extern const char read_table_doc[], prove_doc[];
PyObject *read_table(PyObject *module, PyObject *index);
PyObject *prove(PyObject *module, PyObject *arguments);

#endif
