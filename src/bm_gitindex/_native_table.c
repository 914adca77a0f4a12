/* Finds the entries of an index that is as it should be (gitformat-index(5)). */

#include "_native.h"

#include <stdlib.h>
#include <string.h>

static int is_valid_component(const char *start, size_t length)
{
    if (length == 4 && start[0] == '.')
        return (start[1] | 0x20) != 'g' || (start[2] | 0x20) != 'i' || (start[3] | 0x20) != 't';
    return length && (start[0] != '.' || length > 2 || (length == 2 && start[1] != '.'));
}

static int is_valid_path(const Path *path)
{
    const char *start = path->start, *end = path->start + path->length;
    for (;;) {
        const char *slash = memchr(start, '/', (size_t)(end - start));
        if (!is_valid_component(start, (size_t)((slash ? slash : end) - start)))
            return 0;
        if (!slash)
            return 1;
        start = slash + 1;
    }
}

static int is_among(const Path *paths, uint32_t count, const Path *wanted)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = order_of(&paths[middle], wanted);
        if (!order)
            return 1;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* Whether a path follows those before it, and none of its folders is one of them. */
static int follows(const Path *paths, uint32_t number)
{
    const Path *path = &paths[number];
    uint32_t shared = 0;
    if (!number)
        return 1;
    if (order_of(path - 1, path) >= 0)
        return 0;
    while (shared < path->length && shared < path[-1].length && path->start[shared] == path[-1].start[shared])
        shared++;
    for (uint32_t at = shared; at < path->length; at++)
        if (path->start[at] == '/' && is_among(paths, number, &(Path){path->start, at}))
            return 0;
    return 1;
}

/* Return where the entry ends and what its path is, or 0 for one that has to be looked at more closely. */
static size_t read_entry(const unsigned char *index, size_t limit, unsigned version, size_t at, Path *path)
{
    static const unsigned char null_id[ID_BYTES];
    if (limit - at < NAME_AT + 3)
        return 0;
    unsigned flags = (unsigned)index[at + FLAGS_AT] << 8 | index[at + FLAGS_AT + 1];
    size_t name_at = at + NAME_AT;
    if (flags & STAGE || !memcmp(index + at + ID_AT, null_id, ID_BYTES))
        return 0;
    if (flags & EXTENDED) {
        unsigned extended = (unsigned)index[name_at] << 8 | index[name_at + 1];
        if (version < 3 || extended & ~(unsigned)KNOWN_EXTENDED)
            return 0;
        name_at += 2;
    }
    const unsigned char *end = memchr(index + name_at, '\0', limit - name_at);
    size_t length = end ? (size_t)(end - (index + name_at)) : 0;
    if (!end || (flags & NAME_LENGTH) != (length < NAME_LENGTH ? length : NAME_LENGTH))
        return 0;
    *path = (Path){(const char *)index + name_at, (uint32_t)length};
    size_t next = at + ((name_at - at + length + 8) & ~(size_t)7);
    return next <= limit && is_valid_path(path) ? next : 0;
}

const char read_table_doc[] =
    "read_table(index)\n--\n\n"
    "Return the offset of each entry, as native 32-bit numbers, and where they end; None where anything is out of the\n"
    "ordinary, which is for somebody else to name. The checksum and the extensions are not looked at.\n";

PyObject *read_table(PyObject *module, PyObject *argument)
{
    Py_buffer buffer;
    (void)module;
    if (PyObject_GetBuffer(argument, &buffer, PyBUF_SIMPLE))
        return NULL;
    const unsigned char *index = buffer.buf;
    size_t length = (size_t)buffer.len, at = HEADER_BYTES, limit = length - ID_BYTES;
    PyObject *result = NULL;
    Path *paths = NULL;
    uint32_t *offsets = NULL;
    if (length >= HEADER_BYTES + ID_BYTES && length <= UINT32_MAX) {
        uint32_t version = load_be(index + 4), count = load_be(index + 8), number = 0;
        if ((version == 2 || version == 3) && count <= (limit - HEADER_BYTES) / NAME_AT) {
            paths = malloc((count + 1) * sizeof *paths);
            offsets = malloc((count + 1) * sizeof *offsets);
            Py_BEGIN_ALLOW_THREADS
            for (; paths && offsets && at && number < count; number++) {
                offsets[number] = (uint32_t)at;
                at = read_entry(index, limit, version, at, &paths[number]);
                if (!at || !follows(paths, number))
                    break;
            }
            Py_END_ALLOW_THREADS
            if (!paths || !offsets)
                PyErr_NoMemory();
            else if (number == count)
                result = Py_BuildValue("y#n", (char *)offsets, (Py_ssize_t)(count * sizeof *offsets), (Py_ssize_t)at);
        }
    }
    free(paths);
    free(offsets);
    PyBuffer_Release(&buffer);
    if (result || PyErr_Occurred())
        return result;
    Py_INCREF(Py_None);
    return Py_None;
}
