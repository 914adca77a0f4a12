/* Proves files unchanged: a regular file has the entry's name, and a stat that is equal to what the entry holds
   and older than the index (technical/racy-git). Without the interpreter's lock, several threads list the folders that
   the index knows, look up what it has of each name, and ask for the stat of what they found; the files of a large folder
   are shared among them in a second pass.

   What was found in a folder comes back as bytes as well. Given them again, prove() does not list a folder that has the
   stat which it had then: a name that comes or goes changes the times of its folder. A folder whose times are not older
   than the caller says is not remembered, since it may change once more without a trace: the racy rule, for folders. */

#include "_native.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000

enum { MOST_THREADS = 16, MOST_DEPTH = 64, FILES_AT_ONCE = 512, FILES_IN_A_SLICE = 128, POLL_MS = 50 };
enum { MOST_REMEMBERED_NAMES = 64 * 1024 }; /* bytes, of one folder */

/* --- values ------------------------------------------------------------------------------------------------------- */

typedef struct {
    char *bytes; /* each name ended by NUL */
    size_t used, room;
} Names;

typedef struct { /* without padding, so that two can be compared as bytes */
    uint64_t dev, ino;
    int64_t mtime_s, mtime_ns, ctime_s, ctime_ns;
} Stamp;

typedef struct { /* precedes, of a folder that is remembered, `is_found`, its folders and its other names */
    Stamp stamp;
    uint64_t is_remembered, entry_count, folders_bytes, others_bytes;
} Record;

typedef struct {
    Path path;
    int is_listed;
    Stamp stamp; /* before it was listed */
    int is_encrypted;
    const char *remembered; /* its record; NULL: there is none */
    int is_recalled;
    uint32_t *entries; /* of the files in it, in order of name */
    uint32_t entry_count, entry_room;
    unsigned char *is_found; /* for each of them: a file of its name is there, and may be proven */
    Names folders, others;
} Folder;

typedef struct {
    uint32_t folder, start, end;
} Slice;

typedef struct {
    /* what is given */
    int root_fd;
    const unsigned char *index;
    size_t index_bytes;
    const uint32_t *offsets;
    uint32_t entry_count;
    const unsigned char *mask; /* the bits of the stat fields that count */
    size_t changed_at;         /* where the second stands that decides what is racy */
    uint32_t timestamp_s;
    uint64_t most_bytes;
    uint32_t longest_path;
    const char *endings; /* of names that no rule leaves out, each ended by NUL */
    size_t endings_bytes;
    const char *remembered; /* a record for each folder, or nothing */
    size_t remembered_bytes;
    int64_t settled_before_s; /* a folder with older times may be remembered */
    /* what is made of it */
    Path *paths;
    Folder *folders; /* the first is the root */
    uint32_t folder_count, folder_room;
    Slice *slices;
    uint32_t slice_count;
    unsigned char *proven;
    /* what the threads share */
    atomic_uint next, listed, must_stop, is_out_of_memory;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    unsigned alive;
} Work;

static int grow(void *array, uint32_t *room, size_t item_bytes)
{
    uint32_t wanted = *room ? *room * 2 : 64;
    void **place = array;
    void *grown = wanted > *room ? realloc(*place, wanted * item_bytes) : NULL;
    if (!grown)
        return -1;
    *place = grown;
    *room = wanted;
    return 0;
}

/* Add names that are ended by NUL, the last one too. */
static int add_names(Names *names, const char *bytes, size_t length)
{
    if (names->room - names->used < length) {
        size_t wanted = (names->room + length) * 2;
        char *grown = realloc(names->bytes, wanted);
        if (!grown)
            return -1;
        names->bytes = grown;
        names->room = wanted;
    }
    if (length)
        memcpy(names->bytes + names->used, bytes, length);
    names->used += length;
    return 0;
}

/* --- folders, and what the index has in each --------------------------------------------------------------------------- */

static int read_path(const Work *work, uint32_t entry, Path *path)
{
    const char *start = (const char *)work->index;
    size_t at = work->offsets[entry];
    if (work->index_bytes < NAME_AT + ID_BYTES || at > work->index_bytes - NAME_AT - ID_BYTES)
        return -1;
    unsigned flags = (unsigned)work->index[at + FLAGS_AT] << 8 | work->index[at + FLAGS_AT + 1];
    size_t name_at = at + NAME_AT + (flags & EXTENDED ? 2 : 0);
    const char *end = memchr(start + name_at, '\0', work->index_bytes - name_at);
    if (!end || end - (start + name_at) > UINT32_MAX)
        return -1;
    *path = (Path){start + name_at, (uint32_t)(end - (start + name_at))};
    return 0;
}

static int add_folder(Work *work, const char *start, uint32_t length)
{
    if (work->folder_count == work->folder_room && grow(&work->folders, &work->folder_room, sizeof(Folder)))
        return -1;
    work->folders[work->folder_count++] = (Folder){.path = {start, length}};
    return 0;
}

static int add_entry(Folder *folder, uint32_t entry)
{
    if (folder->entry_count == folder->entry_room && grow(&folder->entries, &folder->entry_room, sizeof *folder->entries))
        return -1;
    folder->entries[folder->entry_count++] = entry;
    return 0;
}

static int is_directly_in(const Path *path, const Path *folder)
{
    uint32_t prefix = folder->length ? folder->length + 1 : 0;
    if (path->length <= prefix || memcmp(path->start, folder->start, folder->length))
        return 0;
    if (prefix && path->start[prefix - 1] != '/')
        return 0;
    return !memchr(path->start + prefix, '/', path->length - prefix);
}

/* Find the paths, and the folders above them. In the order of an index, paths below one folder follow each other: each
   folder is met once. The way down to a folder is gone for each anew, so that those far down are left to Python. Return
   -1 with an exception set. */
static int find_folders(Work *work)
{
    uint32_t above[MOST_DEPTH + 1] = {0}; /* the folders on the way to the path before */
    unsigned depth = 0;
    Path before = {NULL, 0};
    if (add_folder(work, (const char *)work->index, 0))
        return -1;
    for (uint32_t i = 0; i < work->entry_count; i++) {
        Path path;
        uint32_t shared = 0, at;
        if (read_path(work, i, &path)) {
            PyErr_SetString(PyExc_ValueError, "an offset does not lead to an entry");
            return -1;
        }
        work->paths[i] = path;
        if (is_directly_in(&path, &work->folders[above[depth]].path)) {
            if (add_entry(&work->folders[above[depth]], i))
                return -1;
            before = path;
            continue;
        }
        while (shared < path.length && shared < before.length && path.start[shared] == before.start[shared])
            shared++;
        while (depth && work->folders[above[depth]].path.length >= shared)
            depth--;
        at = depth ? work->folders[above[depth]].path.length + 1 : 0;
        for (; at < path.length && depth <= MOST_DEPTH; at++) {
            if (path.start[at] != '/')
                continue;
            if (++depth <= MOST_DEPTH) {
                if (add_folder(work, path.start, at))
                    return -1;
                above[depth] = work->folder_count - 1;
            }
        }
        if (depth > MOST_DEPTH)
            depth = MOST_DEPTH;
        else if (add_entry(&work->folders[above[depth]], i))
            return -1;
        before = path;
    }
    return 0;
}

/* --- first pass: listing ------------------------------------------------------------------------------------------ */

static int open_below(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Go down from the root name by name, so that no link is followed on the way. */
static int open_folder(int root_fd, const Path *path)
{
    char name[256];
    const char *start = path->start, *end = path->start + path->length;
    int fd = start < end ? root_fd : open_below(root_fd, ".");
    while (fd >= 0 && start < end) {
        const char *slash = memchr(start, '/', (size_t)(end - start));
        size_t length = (size_t)((slash ? slash : end) - start);
        int parent = fd;
        fd = -1;
        if (length < sizeof name) {
            memcpy(name, start, length);
            name[length] = '\0';
            fd = open_below(parent, name);
        }
        if (parent != root_fd)
            close(parent);
        start += length + 1;
    }
    return fd;
}

static int is_unchanged(const Work *work, const unsigned char *entry, const struct stat *st)
{
    const uint64_t fields[] = {
        (uint64_t)st->st_ctim.tv_sec, (uint64_t)st->st_ctim.tv_nsec, (uint64_t)st->st_mtim.tv_sec,
        (uint64_t)st->st_mtim.tv_nsec, st->st_dev, st->st_ino, st->st_mode & S_IXUSR ? 0100755 : 0100644,
        st->st_uid, st->st_gid, (uint64_t)st->st_size,
    };
    if (!S_ISREG(st->st_mode) || st->st_size <= 0 || (uint64_t)st->st_size > work->most_bytes)
        return 0;
    if (load_be(entry + work->changed_at) >= work->timestamp_s || entry[FLAGS_AT] & (EXTENDED | STAGE) >> 8)
        return 0;
    for (size_t i = 0; i < STAT_BYTES / 4; i++)
        if ((load_be(entry + 4 * i) ^ (uint32_t)fields[i]) & load_be(work->mask + 4 * i))
            return 0;
    return 1;
}

/* Ask for the stat of some of the files in a folder, where they were found. */
static void ask(Work *work, int fd, const Folder *folder, uint32_t start, uint32_t end)
{
    size_t prefix = folder->path.length ? folder->path.length + 1u : 0;
    for (uint32_t i = start; i < end && !work->must_stop; i++) {
        uint32_t entry = folder->entries[i];
        struct stat st;
        if (folder->is_found[i] && !fstatat(fd, work->paths[entry].start + prefix, &st, AT_SYMLINK_NOFOLLOW))
            work->proven[entry] = (unsigned char)is_unchanged(work, work->index + work->offsets[entry], &st);
    }
}

static int is_ordinary(const Work *work, const char *name, size_t length)
{
    const char *end = work->endings + work->endings_bytes;
    if (strchr(".#~", name[0]))
        return 0;
    for (const char *ending = work->endings; ending < end; ending += strlen(ending) + 1) {
        size_t ending_length = strlen(ending);
        if (length > ending_length && !memcmp(name + length - ending_length, ending, ending_length))
            return 1;
    }
    return 0;
}

/* Return at which place among a folder's entries a name stands, or -1. */
static int64_t place_of(const Work *work, const Folder *folder, const char *name, size_t length)
{
    size_t prefix = folder->path.length ? folder->path.length + 1u : 0;
    const Path wanted = {name, (uint32_t)length};
    uint32_t low = 0, high = folder->entry_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const Path *path = &work->paths[folder->entries[middle]];
        int order = order_of(&(Path){path->start + prefix, (uint32_t)(path->length - prefix)}, &wanted);
        if (!order)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static int sort_in(Work *work, Folder *folder, const struct dirent *found)
{
    const char *name = found->d_name;
    size_t length = strlen(name);
    if (found->d_type == DT_DIR)
        return add_names(&folder->folders, name, length + 1);
    if ((found->d_type == DT_REG || found->d_type == DT_UNKNOWN) && is_ordinary(work, name, length)) {
        int64_t place = place_of(work, folder, name, length);
        if (place >= 0 && work->paths[folder->entries[place]].length <= work->longest_path) {
            folder->is_found[place] = 1;
            return 0;
        }
    }
    return add_names(&folder->others, name, length + 1);
}

static void read_listing(Work *work, Folder *folder, DIR *listing)
{
    for (;;) {
        errno = 0;
        struct dirent *found = readdir(listing);
        if (!found)
            break;
        if (strcmp(found->d_name, ".") && strcmp(found->d_name, "..") && sort_in(work, folder, found)) {
            work->is_out_of_memory = 1;
            return;
        }
    }
    folder->is_listed = !errno; /* else Python will say what is wrong with it */
}

/* Take for read what a folder held when it had the same stat; return whether it had. */
static int recall(Work *work, Folder *folder)
{
    Record record;
    if (!folder->remembered)
        return 0;
    memcpy(&record, folder->remembered, sizeof record);
    if (memcmp(&record.stamp, &folder->stamp, sizeof record.stamp))
        return 0;
    const char *found = folder->remembered + sizeof record;
    const char *folders = found + record.entry_count, *others = folders + record.folders_bytes;
    memcpy(folder->is_found, found, record.entry_count);
    if (add_names(&folder->folders, folders, record.folders_bytes) || add_names(&folder->others, others, record.others_bytes))
        work->is_out_of_memory = 1;
    folder->is_listed = folder->is_recalled = 1;
    return 1;
}

static int stamp(Folder *folder, int fd)
{
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st))
        return -1;
    folder->stamp = (Stamp){makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino,
                            st.stx_mtime.tv_sec, st.stx_mtime.tv_nsec, st.stx_ctime.tv_sec, st.stx_ctime.tv_nsec};
    /* The names in an encrypted one are others while its key is not there (fscrypt), and no time tells. */
    folder->is_encrypted = (st.stx_attributes & STATX_ATTR_ENCRYPTED) != 0;
    return 0;
}

static void look_into(Work *work, uint32_t number)
{
    Folder *folder = &work->folders[number];
    DIR *listing = NULL;
    int fd = open_folder(work->root_fd, &folder->path);
    if (fd < 0)
        return;
    folder->is_found = calloc(folder->entry_count + 1u, 1);
    if (!folder->is_found) {
        work->is_out_of_memory = 1;
    } else if (!stamp(folder, fd) && !recall(work, folder) && (listing = fdopendir(fd))) {
        read_listing(work, folder, listing);
    }
    if (folder->is_listed && folder->entry_count <= FILES_AT_ONCE)
        ask(work, fd, folder, 0, folder->entry_count);
    if (listing)
        closedir(listing);
    else
        close(fd);
    work->listed += folder->entry_count;
}

/* --- what is remembered of folders ---------------------------------------------------------------------------------- */

static int has_end(const char *names, size_t length)
{
    return !length || !names[length - 1];
}

/* Find the record of each folder; return -1 where they are not those of these folders. */
static int find_records(Work *work)
{
    size_t at = 0;
    for (uint32_t number = 0; at < work->remembered_bytes; number++) {
        Folder *folder = &work->folders[number];
        size_t left = work->remembered_bytes - at;
        Record record;
        if (number == work->folder_count || left < sizeof record)
            return -1;
        memcpy(&record, work->remembered + at, sizeof record);
        left -= sizeof record;
        if (record.is_remembered) {
            if (record.entry_count != folder->entry_count || record.entry_count > left ||
                record.folders_bytes > left - record.entry_count ||
                record.others_bytes > left - record.entry_count - record.folders_bytes)
                return -1;
            const char *folders = work->remembered + at + sizeof record + record.entry_count;
            if (!has_end(folders, record.folders_bytes) || !has_end(folders + record.folders_bytes, record.others_bytes))
                return -1;
            folder->remembered = work->remembered + at;
        }
        at += sizeof record + record.entry_count + record.folders_bytes + record.others_bytes;
    }
    return 0;
}

/* Whether a folder that has the same stat once more will hold the same names: a change since it was looked at would have
   given it a later time, by a clock that goes for the root's file system. */
static int is_settled(const Work *work, const Folder *folder)
{
    return folder->is_listed && !folder->is_encrypted && folder->stamp.dev == work->folders->stamp.dev &&
           folder->stamp.mtime_s < work->settled_before_s && folder->stamp.ctime_s < work->settled_before_s &&
           folder->folders.used + folder->others.used <= MOST_REMEMBERED_NAMES;
}

static Record record_of(const Work *work, const Folder *folder)
{
    if (!is_settled(work, folder))
        return (Record){0};
    return (Record){folder->stamp, 1, folder->entry_count, folder->folders.used, folder->others.used};
}

static size_t put(char *bytes, size_t at, const void *part, size_t length)
{
    if (length)
        memcpy(bytes + at, part, length);
    return at + length;
}

/* Return what is to be given next time: `before`, where nothing is to be remembered otherwise. */
static PyObject *records_of(const Work *work, PyObject *before)
{
    size_t at = 0, length = 0;
    int is_same = 1;
    for (uint32_t i = 0; i < work->folder_count; i++) {
        Record record = record_of(work, &work->folders[i]);
        is_same &= record.is_remembered ? work->folders[i].is_recalled : !work->folders[i].remembered;
        length += sizeof record + record.entry_count + record.folders_bytes + record.others_bytes;
    }
    if (is_same) {
        Py_INCREF(before);
        return before;
    }
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
    char *bytes = result ? PyBytes_AsString(result) : NULL;
    for (uint32_t i = 0; bytes && i < work->folder_count; i++) {
        const Folder *folder = &work->folders[i];
        Record record = record_of(work, folder);
        at = put(bytes, at, &record, sizeof record);
        at = put(bytes, at, folder->is_found, record.entry_count);
        at = put(bytes, at, folder->folders.bytes, record.folders_bytes);
        at = put(bytes, at, folder->others.bytes, record.others_bytes);
    }
    return result;
}

/* --- second pass: asking, where there is much to ask ------------------------------------------------------------------ */

static void ask_slice(Work *work, uint32_t number)
{
    Slice slice = work->slices[number];
    const Folder *folder = &work->folders[slice.folder];
    int fd = open_folder(work->root_fd, &folder->path);
    if (fd < 0)
        return;
    ask(work, fd, folder, slice.start, slice.end);
    close(fd);
}

static int cut_slices(Work *work)
{
    uint32_t room = 0;
    for (uint32_t number = 0; number < work->folder_count; number++) {
        uint32_t count = work->folders[number].is_listed ? work->folders[number].entry_count : 0;
        if (count <= FILES_AT_ONCE)
            continue;
        for (uint32_t start = 0; start < count; start += FILES_IN_A_SLICE) {
            uint32_t end = count - start > FILES_IN_A_SLICE ? start + FILES_IN_A_SLICE : count;
            if (work->slice_count == room && grow(&work->slices, &room, sizeof(Slice)))
                return -1;
            work->slices[work->slice_count++] = (Slice){number, start, end};
        }
    }
    return 0;
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

typedef struct {
    Work *work;
    void (*step)(Work *, uint32_t);
    uint32_t count;
} Pass;

static void *perform(void *argument)
{
    Pass *pass = argument;
    Work *work = pass->work;
    for (;;) {
        uint32_t number = work->next++;
        if (number >= pass->count || work->must_stop || work->is_out_of_memory)
            break;
        pass->step(work, number);
    }
    pthread_mutex_lock(&work->mutex);
    work->alive--;
    pthread_cond_signal(&work->ended);
    pthread_mutex_unlock(&work->mutex);
    return NULL;
}

/* Wait until the threads are done or a moment has passed; return whether they are done. */
static int are_done(Work *work)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += POLL_MS * 1000000;
    until.tv_sec += until.tv_nsec / NS_PER_S;
    until.tv_nsec %= NS_PER_S;
    pthread_mutex_lock(&work->mutex);
    int error = 0;
    while (work->alive && !error)
        error = pthread_cond_timedwait(&work->ended, &work->mutex, &until);
    int done = !work->alive;
    pthread_mutex_unlock(&work->mutex);
    return done;
}

/* Do all of a pass; return -1 with an exception set where the caller, or a signal, wants it to end. */
static int run_pass(Pass pass, unsigned thread_count, PyObject *on_progress)
{
    Work *work = pass.work;
    pthread_t threads[MOST_THREADS];
    unsigned started = 0;
    int is_wanted = 1;
    sigset_t all, before;
    work->next = 0;
    work->alive = thread_count;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (started < thread_count && !pthread_create(&threads[started], NULL, perform, &pass))
        started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_lock(&work->mutex);
    work->alive -= thread_count - started;
    pthread_mutex_unlock(&work->mutex);
    if (!started) {
        PyErr_SetString(PyExc_RuntimeError, "no thread can be started");
        return -1;
    }
    for (int done = 0; !done;) {
        Py_BEGIN_ALLOW_THREADS
        done = are_done(work);
        Py_END_ALLOW_THREADS
        if (is_wanted) {
            PyObject *answer = PyErr_CheckSignals() ? NULL : PyObject_CallFunction(on_progress, "I", (unsigned)work->listed);
            is_wanted = answer != NULL;
            work->must_stop = !is_wanted;
            Py_XDECREF(answer);
        }
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (work->is_out_of_memory && is_wanted)
        PyErr_NoMemory();
    return is_wanted && !work->is_out_of_memory ? 0 : -1;
}

/* --- what is returned --------------------------------------------------------------------------------------------- */

static int append_name(PyObject *list, const char *name, size_t length)
{
    PyObject *object = PyBytes_FromStringAndSize(name, (Py_ssize_t)length);
    int failed = !object || PyList_Append(list, object);
    Py_XDECREF(object);
    return failed ? -1 : 0;
}

static PyObject *list_of(const Names *names)
{
    PyObject *list = PyList_New(0);
    for (size_t at = 0; list && at < names->used;) {
        size_t length = strlen(names->bytes + at);
        if (append_name(list, names->bytes + at, length))
            Py_CLEAR(list);
        at += length + 1;
    }
    return list;
}

static PyObject *described(const Work *work, const Folder *folder)
{
    size_t prefix = folder->path.length ? folder->path.length + 1u : 0;
    unsigned long long dev = folder->stamp.dev;
    uint32_t proven = 0, found = 0;
    for (uint32_t i = 0; i < folder->entry_count; i++) {
        found += folder->is_found[i] != 0;
        proven += work->proven[folder->entries[i]];
    }
    if (found == proven && !folder->folders.used && !folder->others.used)
        return Py_BuildValue("KI()", dev, proven);
    PyObject *folders = list_of(&folder->folders), *others = list_of(&folder->others);
    for (uint32_t i = 0; others && i < folder->entry_count; i++) {
        const Path *path = &work->paths[folder->entries[i]];
        if (folder->is_found[i] && !work->proven[folder->entries[i]] &&
            append_name(others, path->start + prefix, path->length - prefix))
            Py_CLEAR(others);
    }
    PyObject *tuple = folders && others ? Py_BuildValue("KI(OO)", dev, proven, folders, others) : NULL;
    Py_XDECREF(folders);
    Py_XDECREF(others);
    return tuple;
}

static int add_described(const Work *work, const Folder *folder, PyObject *quiet, PyObject *others)
{
    PyObject *path = PyBytes_FromStringAndSize(folder->path.start, folder->path.length);
    PyObject *value = path ? described(work, folder) : NULL;
    int is_quiet = value && !PyTuple_Size(PyTuple_GetItem(value, 2));
    int failed = !value || PyDict_SetItem(is_quiet ? quiet : others, path, value);
    Py_XDECREF(path);
    Py_XDECREF(value);
    return failed ? -1 : 0;
}

static PyObject *result_of(const Work *work, PyObject *remembered)
{
    PyObject *quiet = PyDict_New(), *others = PyDict_New();
    for (uint32_t i = 0; quiet && others && i < work->folder_count; i++)
        if (work->folders[i].is_listed && add_described(work, &work->folders[i], quiet, others))
            Py_CLEAR(others);
    PyObject *proven = quiet && others ? PyBytes_FromStringAndSize((const char *)work->proven, work->entry_count) : NULL;
    PyObject *records = proven ? records_of(work, remembered) : NULL;
    PyObject *result = records ? PyTuple_Pack(4, quiet, others, proven, records) : NULL;
    Py_XDECREF(quiet);
    Py_XDECREF(others);
    Py_XDECREF(proven);
    Py_XDECREF(records);
    return result;
}

/* --- the module --------------------------------------------------------------------------------------------------- */

static PyObject *proven_by(Work *work, PyObject *remembered, unsigned thread_count, PyObject *on_progress)
{
    work->paths = malloc((work->entry_count + 1) * sizeof(Path));
    work->proven = calloc(work->entry_count + 1, 1);
    if (!work->paths || !work->proven)
        return PyErr_NoMemory();
    if (find_folders(work))
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    if (find_records(work)) {
        PyErr_SetString(PyExc_ValueError, "what is remembered is of another index");
        return NULL;
    }
    if (run_pass((Pass){work, look_into, work->folder_count}, thread_count, on_progress))
        return NULL;
    if (cut_slices(work))
        return PyErr_NoMemory();
    if (work->slice_count && run_pass((Pass){work, ask_slice, work->slice_count}, thread_count, on_progress))
        return NULL;
    return result_of(work, remembered);
}

static void release(Work *work)
{
    for (uint32_t i = 0; i < work->folder_count; i++) {
        free(work->folders[i].entries);
        free(work->folders[i].is_found);
        free(work->folders[i].folders.bytes);
        free(work->folders[i].others.bytes);
    }
    free(work->folders);
    free(work->paths);
    free(work->slices);
    free(work->proven);
    pthread_cond_destroy(&work->ended);
    pthread_mutex_destroy(&work->mutex);
}

const char prove_doc[] =
    "prove(root_fd, index, offsets, mask, changed_at, timestamp_s, most_bytes, longest_path, endings, remembered,\n"
    "      settled_before_s, thread_count, on_progress)\n"
    "--\n\n"
    "Return a dict of the folders in which there is nothing but files that are proven unchanged, and one of the others:\n"
    "device, number of such files, and the names of folders and of all else. Then a byte for each entry, 1 where its file\n"
    "is proven unchanged, and what is to be remembered until the next call for the same index, endings and longest path.\n";

PyObject *prove(PyObject *module, PyObject *arguments)
{
    Work work = {0};
    Py_buffer index, offsets, mask, endings;
    unsigned changed_at, thread_count;
    unsigned long long most_bytes;
    long long settled_before_s;
    PyObject *remembered, *on_progress, *result = NULL;
    pthread_condattr_t clock;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "iy*y*y*IIKIy*SLIO", &work.root_fd, &index, &offsets, &mask, &changed_at,
                          &work.timestamp_s, &most_bytes, &work.longest_path, &endings, &remembered, &settled_before_s,
                          &thread_count, &on_progress))
        return NULL;
    work.index = index.buf;
    work.index_bytes = (size_t)index.len;
    work.offsets = offsets.buf;
    work.entry_count = (uint32_t)(offsets.len / 4);
    work.mask = mask.buf;
    work.changed_at = changed_at;
    work.most_bytes = most_bytes < UINT32_MAX ? most_bytes : UINT32_MAX;
    work.endings = endings.buf;
    work.endings_bytes = (size_t)endings.len;
    work.remembered = PyBytes_AsString(remembered);
    work.remembered_bytes = (size_t)PyBytes_Size(remembered);
    work.settled_before_s = settled_before_s;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&work.mutex, NULL);
    pthread_cond_init(&work.ended, &clock);
    pthread_condattr_destroy(&clock);
    if (mask.len != STAT_BYTES || changed_at > STAT_BYTES - 4 || offsets.len / 4 >= UINT32_MAX / 8 || !thread_count ||
        thread_count > MOST_THREADS || (endings.len && work.endings[endings.len - 1]))
        PyErr_SetString(PyExc_ValueError, "an argument is out of its bounds");
    else
        result = proven_by(&work, remembered, thread_count, on_progress);
    release(&work);
    PyBuffer_Release(&index);
    PyBuffer_Release(&offsets);
    PyBuffer_Release(&mask);
    PyBuffer_Release(&endings);
    return result;
}
