"""A network of one's own, smooth and in double precision."""

import torch


def smooth(features, classes):
    return torch.nn.Sequential(torch.nn.Linear(features, 4), torch.nn.Tanh(), torch.nn.Linear(4, classes))
