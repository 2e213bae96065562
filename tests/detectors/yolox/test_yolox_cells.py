import torch

from boxwise.detectors.yolox.cells import cells_of

CPU = torch.device("cpu")
CELLS = cells_of(((2, 3), (1, 2), (1, 1)), CPU)


def test_the_cells_of_three_levels_follow_each_other_row_by_row() -> None:
    assert CELLS.corners.tolist() == [[0, 0], [8, 0], [16, 0], [0, 8], [8, 8], [16, 8], [0, 0], [16, 0], [0, 0]]
    assert CELLS.strides.tolist() == [8] * 6 + [16] * 2 + [32]
    assert CELLS.centers[[0, 5, 7, 8]].tolist() == [[4, 4], [20, 12], [24, 8], [16, 16]]
    assert CELLS.xyxy[7].tolist() == [16, 0, 32, 16]


def test_a_box_is_decoded_from_its_cells_upper_left_in_strides() -> None:
    encoded = torch.tensor([[0.5, 0.25, 0.0, torch.log(torch.tensor(2.0))]])
    assert CELLS[torch.tensor([7])].decode(encoded).tolist() == [[16.0, -12.0, 32.0, 20.0]]  # centre (24, 4), 16 wide, 32 high


def test_encoding_is_the_inverse_of_decoding() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(9, 2, generator=generator) * 30
    xyxy = torch.cat([corner, corner + 1 + torch.rand(9, 2, generator=generator) * 60], dim=1)
    torch.testing.assert_close(CELLS.decode(CELLS.encode(xyxy)), xyxy)


def test_a_prediction_that_is_not_sound_has_a_finite_area() -> None:
    xyxy = CELLS.decode(torch.full((9, 4), 1e4))
    assert ((xyxy[:, 2:] - xyxy[:, :2]).prod(1)).isfinite().all()
