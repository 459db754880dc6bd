//! Firmware images for MediaTek's cores as the kernel loads them: ELF files with a resource table.
//!
//! The emulated core runs the firmware's crate on the host's processor, so an image holds no code: it
//! begins with a mark by which the core knows it, and the address of the table. Images that lie are
//! for tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use object::elf;
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, Writer};

/// Device address of the image.
const BASE: u32 = 0x6000_0000;
/// Bytes of the carve-out that it lies in.
const SIZE: u32 = 0x1_0000;
/// Where the resource table is in the image.
const TABLE: u32 = 0x1000;
/// First bytes of an image that the emulated core runs; the table's address follows.
const MARK: [u8; 8] = *b"APUCORE\0";
/// An address that is left to the host.
const ANY: u32 = u32::MAX;
/// Buffers of a queue: their rings take two pages each, as the core has room for.
const BUFFERS: u32 = 16;

/// Kinds of resource table entries.
const CARVEOUT: u32 = 0;
const DEVMEM: u32 = 1;
const VDEV: u32 = 3;

/// Writes all images into `folder`, at the paths that device trees name and, for those that lie,
/// below `lies`.
pub fn write_all(folder: &Path) -> Result<()> {
    let honest = elf(&[firmware(BASE), rpmsg(ANY)])?;
    let write = |name: &str, image: &[u8]| {
        let path: PathBuf = folder.join(name);
        fs::create_dir_all(path.parent().context("an image has a folder")?)?;
        fs::write(&path, image).with_context(|| format!("writing {}", path.display()))
    };
    write("mediatek/mt8183/apu.elf", &honest)?;
    write("mediatek/mt8365/apu.elf", &honest)?;
    let half = honest.get(..honest.len() / 2).unwrap_or_default();
    write("lies/half.elf", half)?;
    write(
        "lies/text.elf",
        b"no ELF file at all, but longer than the header of one is\n",
    )?;
    write(
        "lies/host-memory.elf",
        &elf(&[firmware(BASE), devmem(), rpmsg(ANY)])?,
    )?;
    write(
        "lies/local-ram.elf",
        &elf(&[firmware(0x7ff0_0000), rpmsg(ANY)])?,
    )?;
    write(
        "lies/rings.elf",
        &elf(&[firmware(BASE), rpmsg(0x6fff_c000)])?,
    )?;
    write("lies/no-memory.elf", &elf(&[rpmsg(ANY)])?)?;
    let cut_off = words(&[VDEV, 7, 0, 1]);
    write("lies/table.elf", &elf(&[firmware(BASE), cut_off])?)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(32, 0);
    bytes
}

/// The image's own memory: address, physical address, bytes, readable and writable, reserved, name.
fn firmware(address: u32) -> Vec<u8> {
    [
        words(&[CARVEOUT, address, ANY, SIZE, 3, 0]),
        name("firmware"),
    ]
    .concat()
}

/// The first page of the host's memory, as if it were a device's.
fn devmem() -> Vec<u8> {
    [words(&[DEVMEM, BASE + SIZE, 0, 0x1000, 3, 0]), name("host")].concat()
}

/// The rpmsg device with the name service, and its two rings at `address`.
fn rpmsg(address: u32) -> Vec<u8> {
    let ring = |at: u32| [at, 0x1000, BUFFERS, 0, 0];
    let counts = u32::from_le_bytes([0, 2, 0, 0]);
    let device = [VDEV, 7, 0, 1, 0, 0, counts];
    words(&[&device[..], &ring(address), &ring(address)].concat())
}

/// The table of `entries`: version, number, reserved, offsets, entries.
fn table(entries: &[Vec<u8>]) -> Vec<u8> {
    let count = entries.len();
    let mut next = 16 + 4 * count;
    let mut head = vec![1, count as u32, 0, 0];
    for entry in entries {
        head.push(next as u32);
        next += entry.len();
    }
    [words(&head), entries.concat()].concat()
}

/// The image: one segment with the mark and the table, which is also a section.
fn elf(entries: &[Vec<u8>]) -> Result<Vec<u8>> {
    let table = table(entries);
    let mut segment = [MARK.as_slice(), &words(&[BASE + TABLE])].concat();
    segment.resize(TABLE as usize, 0);
    segment.extend(&table);

    let mut file = Vec::new();
    let mut writer = Writer::new(object::Endianness::Little, false, &mut file);
    writer.reserve_file_header();
    writer.reserve_program_headers(1);
    let offset = writer.reserve(segment.len() as u64, 16);
    let names = writer.add_section_name(b".resource_table");
    writer.reserve_null_section_index();
    writer.reserve_section_index();
    writer.reserve_shstrtab_section_index();
    writer.reserve_shstrtab()?;
    writer.reserve_section_headers();
    writer.write_file_header(&FileHeader {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: elf::ET_EXEC,
        e_machine: elf::EM_XTENSA,
        e_entry: BASE.into(),
        e_flags: elf::FileFlags(0),
    })?;
    writer.write_align_program_headers();
    writer.write_program_header(&ProgramHeader {
        p_type: elf::PT_LOAD,
        p_flags: elf::PF_R | elf::PF_W | elf::PF_X,
        p_offset: offset,
        p_vaddr: BASE.into(),
        p_paddr: BASE.into(),
        p_filesz: segment.len() as u64,
        p_memsz: segment.len() as u64,
        p_align: 16,
    });
    writer.write_align(16);
    writer.write(&segment);
    writer.write_shstrtab();
    writer.write_null_section_header();
    let sh_name = writer.section_name_offset(Some(names));
    writer.write_section_header(&SectionHeader {
        sh_name,
        sh_type: elf::SHT_PROGBITS,
        sh_flags: elf::SHF_ALLOC,
        sh_addr: (BASE + TABLE).into(),
        sh_offset: offset + u64::from(TABLE),
        sh_size: table.len() as u64,
        sh_link: 0,
        sh_info: 0,
        sh_addralign: 4,
        sh_entsize: 0,
    });
    writer.write_shstrtab_section_header();
    Ok(file)
}
