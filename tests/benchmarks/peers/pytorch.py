"""The same nets in PyTorch, trained by the usual loop, behind a gate.

Arguments: folder of the kit, number of threads, and any of: channels_last, bfloat16, compiled, fused (one kernel for
Adam), flush (denormal numbers become 0). The images lie in one tensor: nobody's time is spent on a loader.
"""

import sys

from gate import Gate, Kit, negative_elbo  # isort: skip

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU, "selu": nn.SELU}


class Dense(nn.Module):
    """The dense VAE: logits, z_mean and z_log_var of flat images."""

    def __init__(self, arguments):
        super().__init__()
        hidden, latent_dim = arguments["hidden"], arguments["latent_dim"]
        self.activation = ACTIVATIONS[arguments["activation"]]
        self.trunk = self.stack([784, *hidden])
        self.z_mean, self.z_log_var = nn.Linear(hidden[-1], latent_dim), nn.Linear(hidden[-1], latent_dim)
        self.decoder = nn.Sequential(*self.stack([latent_dim, *hidden[::-1]]), nn.Linear(hidden[0], 784))

    def stack(self, sizes):
        layers = []
        for rows, columns in zip(sizes, sizes[1:]):  # noqa: B905, the second is shorter by one
            layers += [nn.Linear(rows, columns), self.activation()]
        return nn.Sequential(*layers)

    def encode(self, x):
        h = self.trunk(x.flatten(1))
        return self.z_mean(h).float(), self.z_log_var(h).float()

    def decode(self, z):
        return self.decoder(z).float().view(-1, 1, 28, 28)


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv, self.out = nn.Conv2d(channels, channels // 2, 3, 1, 1), nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x):
        return x + self.out(F.silu(self.conv(F.silu(x))))


class Conv(nn.Module):
    """The convolutional VAE with its residual decoder."""

    def __init__(self, arguments):
        super().__init__()
        a, b, c = arguments.get("filters", (32, 64, 128))
        (units,), latent_dim = arguments.get("hidden", (256,)), arguments["latent_dim"]
        self.features = nn.Sequential(
            *(nn.Conv2d(1, a, 3, 2, 1), nn.SiLU(), nn.Conv2d(a, b, 3, 2, 1), nn.SiLU()),
            *(nn.Conv2d(b, c, 3, 1, 1), nn.SiLU()),
        )
        self.hidden = nn.Linear(49 * c, units)
        self.z_mean, self.z_log_var = nn.Linear(units, latent_dim), nn.Linear(units, latent_dim)
        self.start, self.channels = nn.Linear(latent_dim, 49 * c), c
        self.maps = nn.Sequential(
            *(Residual(c), nn.SiLU(), nn.ConvTranspose2d(c, b, 4, 2, 1)),
            *(Residual(b), nn.SiLU(), nn.ConvTranspose2d(b, a, 4, 2, 1)),
            *(nn.SiLU(), nn.Conv2d(a, 1, 3, 1, 1)),
        )

    def encode(self, x):
        h = F.silu(self.hidden(self.features(x).flatten(1)))
        return self.z_mean(h).float(), self.z_log_var(h).float()

    def decode(self, z):
        return self.maps(self.start(z).view(-1, self.channels, 7, 7)).float()


class VAE(nn.Module):
    """A net with its loss."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        z_mean, z_log_var = self.net.encode(x)
        logits = self.net.decode(z_mean + torch.exp(0.5 * z_log_var) * torch.randn_like(z_mean))
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = 0.5 * torch.sum(z_mean.square() + z_log_var.exp() - 1 - z_log_var)
        return (reconstruction + kl) / len(x)


def load(net, kit):
    """Put the kit's first weights into a net. Axes differ: PyTorch has channels before rows and columns."""
    kernels, biases = ([a for k, a in kit.weights.items() if k.endswith(end)] for end in ("/kernel", "/bias"))
    layers = [m for m in net.modules() if isinstance(m, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))]
    if len(layers) != len(kernels):
        raise SystemExit(f"the nets differ: {len(layers)} layers in PyTorch, {len(kernels)} in Keras")
    with torch.no_grad():
        for layer, kernel, bias in zip(layers, kernels, biases, strict=True):
            # Keras: (in, out), (rows, columns, in, out), transposed (rows, columns, out, in).
            kernel = kernel.T if kernel.ndim == 2 else kernel.transpose(3, 2, 0, 1)
            if kernel.ndim == 2 and getattr(net, "hidden", None) is layer:
                kernel = channels_first(kernel, net.channels, axis=1)
            if kernel.ndim == 2 and getattr(net, "start", None) is layer:
                kernel, bias = (channels_first(array, net.channels, axis=0) for array in (kernel, bias))
            if tuple(kernel.shape) != tuple(layer.weight.shape):
                raise SystemExit(f"the nets differ: {kernel.shape} in Keras, {tuple(layer.weight.shape)} in PyTorch")
            layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
            layer.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias)))


def channels_first(array, channels, axis):
    """Reorder an axis that lists 7 x 7 x channels to channels x 7 x 7."""
    parts = np.moveaxis(array, axis, 0)
    parts = parts.reshape(49, channels, *parts.shape[1:]).swapaxes(0, 1).reshape(parts.shape)
    return np.moveaxis(parts, 0, axis)


def check_decoder(net, kit):
    """The decoder must compute what the course's computes, or the race is between different nets."""
    with torch.no_grad():
        found = net.decode(torch.from_numpy(kit.weights["probe_z"])).numpy().reshape(-1)
    difference = np.abs(found - kit.weights["probe_logits"].reshape(-1)).max()
    if difference > 1e-3:
        raise SystemExit(f"the nets differ: logits of one code are {difference:g} apart")


def main(folder, threads, *options):
    kit = Kit(folder)
    torch.set_num_threads(int(threads))
    torch.set_flush_denormal("flush" in options)
    torch.manual_seed(kit.about["seed"])
    net = {"dense_vae": Dense, "conv_vae": Conv}[kit.about["model"]](kit.about["arguments"])
    load(net, kit)
    check_decoder(net, kit)
    vae, images = VAE(net), torch.from_numpy(np.array(kit.images)).reshape(-1, 1, 28, 28)
    if "channels_last" in options:
        vae, images = vae.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3, fused=True if "fused" in options else None)
    forward = torch.compile(vae) if "compiled" in options else vae
    gate = Gate(kit, lambda: elbo(net, kit))
    for epoch in range(kit.epochs):
        gate.open(epoch)
        total = 0.0
        for done, batch in enumerate(kit.orders(epoch), start=1):
            for group in optimizer.param_groups:
                group["lr"] = float(kit.rates[epoch * kit.steps + done - 1])
            with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in options):
                loss = forward(images[torch.from_numpy(batch)])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            gate.passed(done)


@torch.no_grad()
def elbo(net, kit):
    """Negative ELBO on the test images."""

    def encode(x):
        return [part.numpy() for part in net.encode(torch.from_numpy(x).reshape(-1, 1, 28, 28))]

    return negative_elbo(kit.test, encode, lambda z: net.decode(torch.from_numpy(z)).numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])
