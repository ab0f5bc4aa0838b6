/* Start-up of the bare-metal test programs: M-mode at 0x80000000, every hart; hart 0 runs main, the others `secondary`. */
    .section .text.start
    .globl _start
_start:
    csrr    a0, mhartid
    la      sp, stacks
    addi    t0, a0, 1
    slli    t0, t0, 14
    add     sp, sp, t0
    la      t0, trap_entry
    csrw    mtvec, t0
    li      t0, 0x6000          /* FS = dirty */
    csrs    mstatus, t0
    li      t0, -1              /* PMP: everything for everyone */
    csrw    pmpaddr0, t0
    li      t0, 0x1f
    csrw    pmpcfg0, t0
    csrw    mscratch, zero
    bnez    a0, 1f
    call    main
    mv      a1, a0
    li      a0, 0
    call    finish
1:  call    secondary
2:  wfi
    j       2b

    .text
    .globl  secondary
    .weak   secondary
secondary:
    ret

/* Every trap is recorded in `traps` of this hart, and `on_trap` (C) says where to go on. */
    .balign 4
trap_entry:
    addi    sp, sp, -256
    .irp    n, 1,3,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sd      x\n, \n*8(sp)
    .endr
    csrr    a0, mcause
    csrr    a1, mepc
    csrr    a2, mtval
    mv      a3, sp
    call    on_trap
    csrw    mepc, a0
    .irp    n, 1,3,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld      x\n, \n*8(sp)
    .endr
    addi    sp, sp, 256
    mret

/* call_in(mode, fn, arg): run fn(arg) in S (1) or U (0); it comes back by ecall, which on_trap sends to `back`. */
    .globl  call_in
call_in:
    addi    sp, sp, -256
    .irp    n, 1,3,4,8,9
    sd      x\n, \n*8(sp)
    .endr
    .irp    n, 18,19,20,21,22,23,24,25,26,27
    sd      x\n, \n*8(sp)
    .endr
    la      t0, saved_sp
    sd      sp, 0(t0)
    li      t1, 0x1800
    csrc    mstatus, t1
    slli    a0, a0, 11
    csrs    mstatus, a0
    csrw    mepc, a1
    mv      a0, a2
    la      ra, leave
    mret
    .globl  leave
leave:
    ecall
    .globl  back
back:                           /* in M-mode again, a0 = result */
    la      t0, saved_sp
    ld      sp, 0(t0)
    .irp    n, 1,3,4,8,9
    ld      x\n, \n*8(sp)
    .endr
    .irp    n, 18,19,20,21,22,23,24,25,26,27
    ld      x\n, \n*8(sp)
    .endr
    addi    sp, sp, 256
    ret

    .bss
    .balign 16
saved_sp: .dword 0
    .balign 16
stacks: .space 16384*9
