/* The loops that touch every entry of an index, without Python between two of them. What they cannot vouch for they hand
   back, and Python looks at it as it does where this was not compiled: see native.py. */

#include "_native.h"

static PyMethodDef methods[] = {
    {"prove", prove, METH_VARARGS, prove_doc},
    {"read_table", read_table, METH_O, read_table_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_native", "The loops that touch every entry of an index.", 0, methods, slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
