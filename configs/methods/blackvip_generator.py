"""BlackVIP's prompt, made of features, but trained by gradients, CLIP ViT-B/32, CIFAR100.

    python -m vp_jax.train --config=configs/methods/blackvip_generator.py --workdir=runs/generator

Oh et al., "BlackVIP: Black-Box Visual Prompting for Robust Transfer Learning" (CVPR 2023,
arXiv 2303.14773): a network of about 10,000 numbers makes the prompt of what a frozen encoder
says of the image. `inputs` is the length of the backbone's features, 512 for this one.

This is their prompt, not their method: they ask the model as a black box, by estimates of the
gradient; here the gradient is the true one. Their features are of a second network, a masked
autoencoder, here of the backbone itself, which costs no second network and one pass over the
images without a prompt. The prompt acts on pixel values, and `clip` keeps images images; they
clip normalised values to the same bounds. Group normalisation stands for batch normalisation,
which under their perturbed passes is in training mode. The last layer begins with zeros,
so that training begins at the model without a prompt. Adam with learning rate 0.001 is ours:
theirs are for estimates. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The authors' prompt."""
    config = base.default()
    config.prompt = "generator(512) | clip | normalize"
    config.batch_size = 128
    config.epochs = 100
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 0.001
    config.schedule.warmup_steps = 0
    return config
