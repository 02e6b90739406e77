# SPDX-License-Identifier: GPL-2.0-only
"""Modules: who may use which export, and what building and loading say."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from memremap_emu import Export, Kernel, KernelError, Taint
from memremap_emu.cli import main

GPL_ONLY = ("devm_memremap_pages", "hmm_devmem_add", "get_dev_pagemap", "percpu_ref_init")
FOR_ALL = ("devmap_managed_key", "__put_devmap_managed_page", "__put_page", "memremap")
COMPATIBLE = (
    "GPL",
    "GPL v2",
    "GPL and additional rights",
    "Dual BSD/GPL",
    "Dual MIT/GPL",
    "Dual MPL/GPL",
)
INCOMPATIBLE = ("Proprietary", "gpl", "GPL v3", "BSD", "GPL ", "", "Dual BSD/GPL v2", "NVIDIA")


@pytest.fixture
def k() -> Iterator[Kernel]:
    with Kernel(checked=False) as kernel:
        yield kernel


def errno_of_load(k: Kernel, **arguments: object) -> tuple[int, list[str]]:
    module = k.module("drv", **arguments)  # type: ignore[arg-type]
    before = len(k.dmesg)
    try:
        module.load()
    except KernelError as e:
        return -(e.errno or 0), k.dmesg[before:]
    return 0, k.dmesg[before:]


# --- the table ---


def test_no_symbol_is_exported_twice(k: Kernel) -> None:
    lines = k._native.format(7).splitlines()
    names = [line.split()[1] for line in lines]
    assert sorted(names) == sorted(set(names)) and len(names) > 150


def test_functions_that_put_page_is_made_of_are_for_everybody(k: Kernel) -> None:
    for symbol in FOR_ALL:
        assert k.exports[symbol] is Export.EXPORT_SYMBOL
    for symbol in GPL_ONLY:
        assert k.exports[symbol] is Export.EXPORT_SYMBOL_GPL


@pytest.mark.parametrize("applied", range(8))
def test_the_series_makes_three_functions_gpl_only_one_patch_at_a_time(applied: int) -> None:
    with Kernel(applied=applied, checked=False) as k:
        gpl = {s for s, e in k.exports.items() if e is Export.EXPORT_SYMBOL_GPL}
    assert ("devm_memremap_pages" in gpl) is (applied >= 1)
    assert ("__wrap_devm_memremap_pages" in gpl) is (applied >= 1)
    assert ("hmm_devmem_add" in gpl) is ("hmm_devmem_add_resource" in gpl) is (applied >= 7)


def test_later_functions_are_not_exported_before_they_exist() -> None:
    with Kernel(checked=False) as k:
        assert {"devm_memunmap_pages", "devm_release_action"}.isdisjoint(k.exports)
    with Kernel("v5.2", checked=False) as k:
        assert {"devm_memunmap_pages", "devm_release_action"} <= set(k.exports)


# --- licences ---


@pytest.mark.parametrize("text", COMPATIBLE)
def test_a_compatible_licence_gets_every_export_and_no_taint(k: Kernel, text: str) -> None:
    assert errno_of_load(k, license=text, needs=[*GPL_ONLY, *FOR_ALL]) == (0, [])
    assert k.taints == Taint(0) and k.tainted == "Not tainted"


@pytest.mark.parametrize("text", INCOMPATIBLE)
def test_any_other_text_is_proprietary(k: Kernel, text: str) -> None:
    error, log = errno_of_load(k, license=text, needs=GPL_ONLY[:1])
    assert error == -errno.ENOENT
    assert log == [
        f"drv: module license '{text}' taints kernel.",
        "Disabling lock debugging due to kernel taint",
        "drv: Unknown symbol devm_memremap_pages (err -2)",
    ]


def test_a_missing_licence_is_unspecified_and_so_proprietary(k: Kernel) -> None:
    error, log = errno_of_load(k, needs=FOR_ALL)
    assert error == 0
    assert log[0] == "drv: module license 'unspecified' taints kernel."


def test_every_symbol_that_is_missing_is_named(k: Kernel) -> None:
    error, log = errno_of_load(k, license="Proprietary", needs=[*GPL_ONLY, "no_such_thing"])
    assert error == -errno.ENOENT
    assert log[2:] == [
        f"drv: Unknown symbol {symbol} (err -2)" for symbol in (*GPL_ONLY, "no_such_thing")
    ]


def test_a_weak_symbol_may_be_missing_in_silence(k: Kernel) -> None:
    assert errno_of_load(k, license="GPL", weak=["no_such_thing"]) == (0, [])


@pytest.mark.parametrize("name", ["ndiswrapper", "driverloader", "lve"])
def test_some_names_are_proprietary_whatever_they_say(k: Kernel, name: str) -> None:
    module = k.module(name, license="GPL", needs=GPL_ONLY[:1])
    with pytest.raises(KernelError):
        module.load()
    assert Taint.PROPRIETARY_MODULE in module.taints


def test_resolve_answers_by_licence_also_before_loading(k: Kernel) -> None:
    free, bound = k.module("a", license="GPL"), k.module("b", license="Proprietary")
    assert free.resolve("devm_memremap_pages") is Export.EXPORT_SYMBOL_GPL
    assert bound.resolve("memremap") is Export.EXPORT_SYMBOL
    for module, symbol in ((bound, "devm_memremap_pages"), (free, "arch_add_memory")):
        with pytest.raises(KernelError) as e:
            module.resolve(symbol)
        assert e.value.errno == errno.ENOENT


# --- taints ---


def test_the_licence_is_complained_about_once_a_kernel(k: Kernel) -> None:
    assert len(errno_of_load(k, license="Proprietary")[1]) == 2
    module = k.module("second", license="Proprietary")
    before = len(k.dmesg)
    module.load()
    assert k.dmesg[before:] == []
    assert module.taints == Taint.PROPRIETARY_MODULE


def test_a_load_that_fails_leaves_the_kernel_tainted(k: Kernel) -> None:
    errno_of_load(k, license="Proprietary", needs=["no_such_thing"])
    assert k.taints == Taint.PROPRIETARY_MODULE
    assert k.tainted.startswith("Tainted: P")


@pytest.mark.parametrize(
    ("arguments", "force", "taint", "letter", "text"),
    [
        (
            {"intree": False},
            False,
            Taint.OOT_MODULE,
            "O",
            "drv: loading out-of-tree module taints kernel.",
        ),
        ({"vermagic": False}, True, Taint.FORCED_MODULE, "F", "drv: bad vermagic: kernel tainted."),
        (
            {"signed": False},
            False,
            Taint.UNSIGNED_MODULE,
            "E",
            "drv: module verification failed: signature and/or required key missing - "
            "tainting kernel",
        ),
    ],
    ids=["out-of-tree", "forced", "unsigned"],
)
def test_other_taints_have_a_bit_a_letter_and_a_text(
    k: Kernel, arguments: dict[str, bool], force: bool, taint: Taint, letter: str, text: str
) -> None:
    module = k.module("drv", license="GPL", needs=GPL_ONLY, **arguments)  # type: ignore[arg-type]
    module.load(force=force)
    assert k.taints == module.taints == taint
    assert letter in k.tainted.removeprefix("Tainted: ") and "G" in k.tainted
    assert text in k.dmesg


def test_a_module_for_another_kernel_is_refused_unless_forced(k: Kernel) -> None:
    module = k.module("drv", license="GPL", vermagic=False)
    with pytest.raises(KernelError) as e:
        module.load()
    assert e.value.errno == errno.ENOEXEC
    assert not module.loaded and k.taints == Taint(0)


def test_a_warning_taints_with_w() -> None:
    with Kernel(checked=False, on_violation="record") as k:
        k.device("d.0").warn("something")
        assert k.taints == Taint.WARN and "W" in k.tainted


# --- loading and unloading ---


def test_one_module_of_a_name_at_a_time(k: Kernel) -> None:
    first, second = k.module("drv", license="GPL"), k.module("drv", license="GPL")
    first.load()
    with pytest.raises(KernelError) as e:
        second.load()
    assert e.value.errno == errno.EEXIST
    first.unload()
    second.load()
    with pytest.raises(KernelError) as e:
        first.unload()
    assert e.value.errno == errno.ENOENT


def test_modules_and_symbols_have_names(k: Kernel) -> None:
    module = k.module("drv")
    for wrong in (lambda: k.module(None), lambda: module.need(None), lambda: module.resolve(None)):
        with pytest.raises(ValueError, match="has a name"):
            wrong()  # type: ignore[no-untyped-call]


# --- building ---


def test_an_incompatible_module_that_uses_a_gpl_only_symbol_is_not_built(k: Kernel) -> None:
    build = k.module("drv", license="Proprietary", needs=[*FOR_ALL, *GPL_ONLY]).modpost()
    # The first offender only.
    assert build.status == 1
    assert build.stderr == (
        "FATAL: modpost: GPL-incompatible module drv.ko uses GPL-only symbol "
        "'devm_memremap_pages'\n"
    )


def test_an_incompatible_module_that_uses_put_page_is_built(k: Kernel) -> None:
    build = k.module("drv", license="Proprietary", needs=FOR_ALL).modpost()
    assert (build.status, build.stderr) == (0, "")


def test_a_module_without_a_licence_is_built_with_a_warning_and_refused_when_loaded(
    k: Kernel,
) -> None:
    module = k.module("drv", needs=GPL_ONLY[:1])
    build = module.modpost()
    assert build.status == 0
    assert build.stderr == (
        "WARNING: modpost: missing MODULE_LICENSE() in drv.o\n"
        "see include/linux/module.h for more information\n"
    )
    with pytest.raises(KernelError):
        module.load()


def test_a_symbol_that_nobody_exports_is_undefined_unless_weak(k: Kernel) -> None:
    build = k.module("drv", license="GPL", needs=["arch_add_memory", "add_pages"]).modpost()
    assert build.status == 1
    assert build.stderr == (
        'ERROR: "arch_add_memory" [drv.ko] undefined!\nERROR: "add_pages" [drv.ko] undefined!\n'
    )
    weak = k.module("drv", license="GPL", weak=["arch_add_memory"]).modpost()
    assert (weak.status, weak.stderr) == (0, "")


def test_the_same_module_is_built_before_the_series() -> None:
    with Kernel("v4.19", checked=False) as k:
        needs = ["devm_memremap_pages", "hmm_devmem_add", "hmm_devmem_add_resource"]
        assert k.module("drv", license="Proprietary", needs=needs).modpost().status == 0


# --- the command ---


def test_the_command_prints_what_modpost_prints_and_ends_with_its_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    needs = ["put_page", "devm_memremap_pages"]
    assert main(["modpost", "--license", "Proprietary", "--needs", *needs, "--name", "drv"]) == 1
    assert capsys.readouterr().err == (
        'ERROR: "put_page" [drv.ko] undefined!\n'
        "FATAL: modpost: GPL-incompatible module drv.ko uses GPL-only symbol "
        "'devm_memremap_pages'\n"
    )
    assert main(["modpost", "--license", "GPL", "--needs", *needs[1:]]) == 0
    assert (
        main(["modpost", "--license", "Proprietary", "--needs", *needs[1:], "--version", "v4.19"])
        == 0
    )
    assert capsys.readouterr().err == ""


def test_the_command_loads_what_it_has_built(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["modpost", "--load", "--needs", "devm_memremap_pages", "--name", "drv"]) == 1
    said = capsys.readouterr()
    assert "WARNING: modpost: missing MODULE_LICENSE() in drv.o" in said.err
    assert "insmod: drv.ko: ENOENT" in said.err
    assert "drv: Unknown symbol devm_memremap_pages (err -2)" in said.out
    assert "Tainted: P" in said.out
    assert main(["modpost", "--load", "--license", "GPL", "--needs", "devm_memremap_pages"]) == 0


def test_the_command_refuses_what_is_no_kernel_or_no_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["modpost", "--version", "v3.0"]) == 2
    assert main(["modpost", "--name", "a\0b"]) == 2
    assert "v4.19, memremap-v6" in capsys.readouterr().err
