//! Which queue of a TUN device gets which packet.
//!
//! Left alone, the kernel moves a flow to the queue that last wrote its opposite direction. Here a flow stays
//! where its hash puts it, whatever is written: its packets are numbered by one worker, in their order. The hash
//! covers addresses and protocol, and where the packet is whole the ports, or the SPI of ESP. It is the same for both
//! directions of a flow: its acknowledgements wake no second thread.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// An instruction of eBPF (`struct bpf_insn`).
#[repr(C)]
#[derive(Clone, Copy)]
struct Insn {
    code: u8,
    /// Destination in the low four bits, source in the high ones (the other way round on big-endian machines).
    registers: u8,
    offset: i16,
    immediate: i32,
}

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;

// Opcodes: load from the packet by absolute and by indexed offset, 64-bit arithmetic, jumps.
const LOAD_BYTE: u8 = 0x30;
const LOAD_HALF: u8 = 0x28;
const LOAD_WORD: u8 = 0x20;
const LOAD_HALF_AT: u8 = 0x48;
const MOVE: u8 = 0xbf;
const MOVE_IMM: u8 = 0xb7;
const ADD: u8 = 0x0f;
const MUL_IMM: u8 = 0x27;
const AND_IMM: u8 = 0x57;
const SHIFT_LEFT_IMM: u8 = 0x67;
const SHIFT_RIGHT_IMM: u8 = 0x77;
const JUMP: u8 = 0x05;
const JUMP_EQUAL_IMM: u8 = 0x15;
const JUMP_NOT_EQUAL_IMM: u8 = 0x55;
const EXIT: u8 = 0x95;

// R0 takes what is loaded, R6 is the packet, R7 the hash, R8 the protocol, R9 an offset.
const R0: u8 = 0;
const R1: u8 = 1;
const R6: u8 = 6;
const R7: u8 = 7;
const R8: u8 = 8;
const R9: u8 = 9;

/// Odd, and of no pattern.
const MIX: i32 = 0x5bd1_e995;

/// Protocols whose first word names the flow: ports, or the SPI.
const WITH_PORTS: [i32; 6] = [6, 17, 33, 50, 132, 136];

#[derive(Default)]
struct Program(Vec<Insn>);

impl Program {
    fn push(&mut self, code: u8, to: u8, from: u8, offset: i16, immediate: i32) {
        let registers =
            if cfg!(target_endian = "little") { from << 4 | to } else { to << 4 | from };
        self.0.push(Insn { code, registers, offset, immediate });
    }

    fn load(&mut self, code: u8, at: i32) {
        self.push(code, 0, 0, 0, at);
    }

    /// R7 = R7 + R0.
    fn add(&mut self) {
        self.push(ADD, R7, R0, 0, 0);
    }

    /// R7 = R7 × MIX + R0.
    fn mix(&mut self) {
        self.push(MUL_IMM, R7, 0, 0, MIX);
        self.push(ADD, R7, R0, 0, 0);
    }

    /// A jump whose end is set by [`land`](Self::land).
    fn jump(&mut self, code: u8, register: u8, immediate: i32) -> usize {
        self.push(code, register, 0, 0, immediate);
        self.0.len() - 1
    }

    fn land(&mut self, jump: usize) {
        self.0[jump].offset = (self.0.len() - jump - 1) as i16;
    }

    /// Mixes in the sum of the two halves of a word that `load` loads, given each one's offset, if R8 is a
    /// protocol that has it.
    fn mix_ports(&mut self, load: impl Fn(&mut Self, i32)) {
        let found: Vec<_> =
            WITH_PORTS.iter().map(|&protocol| self.jump(JUMP_EQUAL_IMM, R8, protocol)).collect();
        let none = self.jump(JUMP, 0, 0);
        for jump in found {
            self.land(jump);
        }
        load(self, 0);
        self.mix();
        load(self, 2);
        self.add();
        self.land(none);
    }

    fn steering() -> Self {
        let mut p = Self::default();
        p.push(MOVE, R6, R1, 0, 0);
        p.push(MOVE_IMM, R7, 0, 0, 0);
        p.load(LOAD_BYTE, 0);
        p.push(SHIFT_RIGHT_IMM, R0, 0, 0, 4);
        let v4 = p.jump(JUMP_EQUAL_IMM, R0, 4);
        let v6 = p.jump(JUMP_EQUAL_IMM, R0, 6);
        p.push(MOVE_IMM, R0, 0, 0, 0);
        p.push(EXIT, 0, 0, 0, 0);

        p.land(v4);
        for at in [12, 16] {
            p.load(LOAD_WORD, at);
            p.add();
        }
        p.load(LOAD_BYTE, 9);
        p.push(MOVE, R8, R0, 0, 0);
        p.mix();
        // More fragments, or an offset.
        p.load(LOAD_HALF, 6);
        p.push(AND_IMM, R0, 0, 0, 0x3fff);
        let fragment = p.jump(JUMP_NOT_EQUAL_IMM, R0, 0);
        p.load(LOAD_BYTE, 0);
        p.push(AND_IMM, R0, 0, 0, 0x0f);
        p.push(SHIFT_LEFT_IMM, R0, 0, 0, 2);
        p.push(MOVE, R9, R0, 0, 0);
        p.mix_ports(|p, at| p.push(LOAD_HALF_AT, 0, R9, 0, at));
        let done = p.jump(JUMP, 0, 0);

        p.land(v6);
        for at in (8..24).step_by(4) {
            p.load(LOAD_WORD, at);
            p.mix();
            p.load(LOAD_WORD, at + 16);
            p.add();
        }
        p.load(LOAD_BYTE, 6);
        p.push(MOVE, R8, R0, 0, 0);
        p.mix();
        p.mix_ports(|p, at| p.load(LOAD_HALF, 40 + at));

        p.land(fragment);
        p.land(done);
        // The high bits of the product are the mixed ones.
        p.push(MOVE, R0, R7, 0, 0);
        p.push(MUL_IMM, R0, 0, 0, MIX);
        p.push(SHIFT_RIGHT_IMM, R0, 0, 0, 32);
        p.push(AND_IMM, R0, 0, 0, 0xffff);
        p.push(EXIT, 0, 0, 0, 0);
        p
    }

    fn load_into_kernel(&self) -> io::Result<OwnedFd> {
        /// `union bpf_attr` as far as loading needs it.
        #[repr(C)]
        struct Attributes {
            kind: u32,
            count: u32,
            instructions: u64,
            licence: u64,
            log_level: u32,
            log_size: u32,
            log: u64,
            kernel_version: u32,
            flags: u32,
        }
        let licence = c"Dual MIT/GPL";
        let attributes = Attributes {
            kind: BPF_PROG_TYPE_SOCKET_FILTER,
            count: self.0.len() as u32,
            instructions: self.0.as_ptr() as usize as u64,
            licence: licence.as_ptr() as usize as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            kernel_version: 0,
            flags: 0,
        };
        // SAFETY: `attributes` and what it points to live through the call; the kernel reads as many
        // bytes of it as stated, and as many instructions as counted.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_PROG_LOAD,
                &raw const attributes,
                size_of_val(&attributes),
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel gave a new descriptor, which nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
    }
}

/// Steers the packets of the TUN device that `queue` belongs to.
///
/// # Errors
/// When the kernel is without eBPF or does not let us load a program.
pub(super) fn attach(queue: &File) -> io::Result<()> {
    let program = Program::steering().load_into_kernel()?;
    let fd: libc::c_int = program.as_raw_fd();
    // SAFETY: the descriptor is open; TUNSETSTEERINGEBPF reads one int, which `fd` is. The device keeps
    // the program.
    let rc =
        unsafe { libc::ioctl(queue.as_raw_fd(), libc::TUNSETSTEERINGEBPF as _, &raw const fd) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
