/* Entry, the trap gate, and the way down to user mode. */
    .section .text.start
    .globl _start
_start:                         /* S-mode, a0 = hart, a1 = device tree, paging off */
    la      sp, kernel_stack_top
    la      t0, bss_start
    la      t1, bss_end
1:  bgeu    t0, t1, 2f
    sd      zero, 0(t0)
    addi    t0, t0, 8
    j       1b
2:  la      t0, trap_entry
    csrw    stvec, t0
    csrw    sscratch, zero
    call    kernel_main
3:  wfi
    j       3b

/*
 * sscratch holds the kernel stack while user code runs and 0 while the kernel runs. The frame is an array of 34 words:
 * x1..x31 at their own index, sepc at 32, sstatus at 33.
 */
    .text
    .balign 4
trap_entry:
    csrrw   sp, sscratch, sp
    bnez    sp, 1f
    csrrw   sp, sscratch, sp    /* from the kernel: keep its stack */
    addi    sp, sp, -272
    sd      t0, 5*8(sp)
    addi    t0, sp, 272
    sd      t0, 2*8(sp)
    j       2f
1:  addi    sp, sp, -272        /* from user mode */
    sd      t0, 5*8(sp)
    csrrw   t0, sscratch, zero
    sd      t0, 2*8(sp)
2:  sd      x1, 1*8(sp)
    .irp    n, 3,4,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sd      x\n, \n*8(sp)
    .endr
    csrr    t0, sepc
    sd      t0, 32*8(sp)
    csrr    t0, sstatus
    sd      t0, 33*8(sp)
    mv      a0, sp
    call    trap
    .globl  trap_return
trap_return:                    /* a0 = frame */
    mv      sp, a0
    ld      t0, 33*8(sp)
    csrw    sstatus, t0
    andi    t1, t0, 0x100       /* SPP: back to the kernel? */
    ld      t0, 32*8(sp)
    csrw    sepc, t0
    bnez    t1, 3f
    addi    t0, sp, 272
    csrw    sscratch, t0
3:  ld      x1, 1*8(sp)
    .irp    n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld      x\n, \n*8(sp)
    .endr
    ld      sp, 2*8(sp)
    sret

    .globl  sbi_call
sbi_call:                       /* (ext, fid, arg0, arg1) -> a0 */
    mv      a7, a0
    mv      a6, a1
    mv      a0, a2
    mv      a1, a3
    li      a2, 0
    ecall
    ret

    .bss
    .balign 16
    .space  16384
kernel_stack_top:
