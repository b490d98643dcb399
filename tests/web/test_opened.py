from pathlib import Path

import numpy as np
import pytest

from passerby.errors import GalleryError
from passerby.gallery import Gallery, Model, NewSighting
from passerby.web.opened import OpenGallery
from passerby.web.serving import _bound, address, check_reach


def made(path: Path, count: int = 1, fingerprint: str = "m") -> None:
    with Gallery.open(path, create=True, model=Model(fingerprint, "model", 2)) as gallery:
        gallery.add([NewSighting(str(n), np.array([1.0, n]), "a") for n in range(count)])


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_a_gallery_whose_file_was_replaced_is_opened_anew(tmp_path: Path, form: str):
    path = tmp_path / "g"
    made(path)
    opened = OpenGallery(form.format(path))
    first = opened()
    assert opened() is first and opened.answers()
    for each in tmp_path.glob("g*"):
        each.unlink()
    with pytest.raises(GalleryError, match="the gallery g is not there any more"):
        opened()
    assert not opened.answers() and not path.exists()
    made(path, 3)
    assert len(opened()) == 3 and opened.answers()
    opened.close()


def test_another_models_gallery_in_its_place_is_refused(tmp_path: Path):
    made(tmp_path / "g")
    opened = OpenGallery(str(tmp_path / "g"))
    for each in tmp_path.glob("g*"):
        each.unlink()
    made(tmp_path / "g", fingerprint="other")
    with pytest.raises(GalleryError, match="cannot be compared"):
        opened()
    opened.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_this_machine_alone_needs_no_token(host: str):
    assert check_reach(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "camera-room", ""])
def test_beyond_this_machine_a_token_is_needed(host: str):
    from passerby.errors import UsageError

    with pytest.raises(UsageError, match="can be reached from other machines: give a --token"):
        check_reach(host, None)
    with pytest.raises(UsageError, match="has 15 characters: 16 are the least"):
        check_reach(host, "a" * 15)
    assert not check_reach(host, "a" * 16)


def test_addresses_as_they_are_opened():
    assert address("127.0.0.1", 80) == "http://127.0.0.1:80/" and address("::1", 80) == "http://[::1]:80/"
    assert "0.0.0.0" not in address("0.0.0.0", 80)


def test_a_port_that_is_taken_and_a_host_that_is_elsewhere_are_one_line():
    from passerby.errors import UsageError

    with _bound("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UsageError, match=f"127.0.0.1:{port} cannot be served: Address already in use"):
            _bound("127.0.0.1", port)
    with pytest.raises(UsageError, match="cannot be served"):
        _bound("192.0.2.1", 0)
    with pytest.raises(UsageError, match="Give an address of this machine"):
        _bound("no such host", 0)
