/* Part of struct rv: privileged state, in the order of csr.def. Included inside the struct only. */
