/* The trap handler of random programs that run on another emulator: saves x1 to x31 behind the generator's own save area. */
    .section .text.start
    .globl _start
    .balign 4
_start:
    csrrw   x31, mscratch, x31
    .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    sd      x\n, 1280+8*\n(x31)
    .endr
    csrrw   t0, mscratch, x31
    sd      t0, 1280+8*31(x31)
    addi    a0, x31, 1280
    la      sp, stack
    call    trap
    csrw    mepc, a0
    csrr    x31, mscratch
    .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    ld      x\n, 1280+8*\n(x31)
    .endr
    ld      x31, 1280+8*31(x31)
    mret

    .globl  save_fp
save_fp:                        /* (uint64_t *f) */
    .option push
    .option arch, +d
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fsd     f\n, 8*\n(a0)
    .endr
    .option pop
    ret

    .bss
    .balign 16
    .space 8192
stack:
