"""Files that go in and come out, packages that may be imported, and pictures."""

import pytest

from deepagent.errors import ConfigError
from deepagent.sandbox import Kernel, SandboxConfig

PNG = b"\x89PNG\r\n\x1a\n"
SCIENCE = SandboxConfig(packages=("numpy", "pandas", "matplotlib"), seconds=60, memory_mb=2048)


async def test_attachments_are_there_as_read_only_copies(walls):
    async with Kernel(attachments={"table.csv": b"a,b\n", "photo.bin": bytes(range(256)) * 10_000}) as kernel:
        run = await kernel.execute("import os; sorted(os.listdir()), len(open('photo.bin', 'rb').read())")
        assert run.value == "(['photo.bin', 'table.csv'], 2560000)"
        assert "Permission denied" in ((await kernel.execute("open('table.csv', 'a')")).error or "")
        assert (await kernel.collect()).files == {}


async def test_attachments_that_do_not_fit_are_told(walls):
    async with Kernel(SandboxConfig(workspace_mb=1), attachments={"large": bytes(2**21)}) as kernel:
        with pytest.raises(ConfigError, match=r"raise sandbox\.workspace_mb"):
            await kernel.execute("1")


async def test_files_outlive_their_interpreter(walls):
    async with Kernel(attachments={"given": b"1"}) as kernel:
        await kernel.execute(
            "import os\nos.makedirs('a/b')\nopen('a/b/c', 'wb').write(bytes(3_000_000))\nos.chmod('a', 0o755)"
        )
        run = await kernel.execute("os._exit(1)")
        assert (run.error or "").endswith("all variables are gone; the files are kept")
        assert (
            await kernel.execute("import os; os.path.getsize('a/b/c'), open('given').read()")
        ).value == "(3000000, '1')"
        await kernel.execute("os.remove('a/b/c'); open('new', 'w').close()")
        assert (await kernel.collect()).files == {"new": b""}
        assert (await kernel.execute("import os; sorted(os.listdir())")).value == "['given', 'new']"


async def test_what_is_hidden_temporary_or_too_much_is_left_behind(walls):
    code = (
        "import os\n"
        "for name in ('.cache', '/tmp/scratch', 'kept'): open(name, 'w').write('x')\n"
        "for number in range(1100): open(f'n{number:04}', 'w').close()\n"
    )
    async with Kernel() as kernel:
        await kernel.execute(code)
        left = await kernel.collect()
        assert len(left.files) == 1000
        assert ".cache" not in left.files
        assert "scratch" not in left.files
        assert left.skipped == ("all after the first 1,000 files",)


async def test_a_file_with_a_hole_costs_nothing(walls):
    async with Kernel(SandboxConfig(workspace_mb=50)) as kernel:
        await kernel.execute("for n in range(3): open(f'{n}', 'wb').truncate(40 * 2**20)")
        left = await kernel.collect()
        assert [*left.files] == ["0"]
        assert left.skipped == ("1: too large (41,943,040 bytes)", "2: too large (41,943,040 bytes)")


async def test_only_listed_packages_can_be_imported(walls):
    async with Kernel() as kernel:
        assert "ModuleNotFoundError" in ((await kernel.execute("import numpy")).error or "")
    async with Kernel(SCIENCE) as kernel:
        run = await kernel.execute(
            "import numpy, pandas\nframe = pandas.DataFrame({'a': numpy.arange(4)})\nint(frame.a.sum())"
        )
        assert (run.value, run.error) == ("6", None)
        assert "ModuleNotFoundError" in ((await kernel.execute("import pydantic")).error or "")
        assert (await kernel.execute("open(numpy.__file__, 'a')")).error_kind == "exception"


async def test_a_package_that_is_not_installed_is_the_user_s_mistake(walls):
    async with Kernel(SandboxConfig(packages=("no-such-package",))) as kernel:
        with pytest.raises(ConfigError, match="'no-such-package', which is not installed here; pip install"):
            await kernel.execute("1")


async def test_figures_and_pictures_come_back_as_files(walls):
    async with Kernel(SCIENCE) as kernel:
        run = await kernel.execute("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nplt.figure()\nNone")
        assert (run.output, run.error, run.pictures) == ("", None, ("figure-1-1.png", "figure-1-2.png"))
        run = await kernel.execute("plt.get_fignums()")
        assert (run.value, run.pictures) == ("[]", ())
        run = await kernel.execute("from PIL import Image; Image.new('RGB', (2, 2))")
        assert run.pictures == ("picture-3.png",)
        files = (await kernel.collect()).files
        assert sorted(files) == ["figure-1-1.png", "figure-1-2.png", "picture-3.png"]
        assert all(data.startswith(PNG) for data in files.values())


async def test_a_figure_that_cannot_be_drawn_is_an_error_of_the_cell(walls):
    async with Kernel(SCIENCE) as kernel:
        run = await kernel.execute("import matplotlib.pyplot as plt\nplt.title('$\\\\nonsense{$')\nx = 1")
        assert run.error_kind == "exception"
        assert (await kernel.execute("x")).value == "1"
