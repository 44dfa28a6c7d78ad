"""A prompt for a plain ViT with iterative label mapping, CIFAR100.

    python -m vp_jax.train --config=configs/vit_iterative.py --workdir=runs/vit_iterative
    python -m vp_jax.train --config=configs/vit_iterative.py --workdir=runs/deit_folder \
        --config.backbone.name=deit_ti16 --config.task.name=folder \
        --config.task.data_dir=my_images --config.batch_size=32 --config.epochs=20

Which ImageNet class stands for which downstream class is decided anew before every epoch, by what
the model takes the prompted training images for: greedily one to one over co-occurrence counts, as
in Chen et al. 2023, "Understanding and Improving Visual Prompting: A Label-Mapping Perspective"
(arXiv 2211.11635). The counts come from the training pass itself;
`--config.head.second_pass=True` counts again with the prompt of the epoch's end, at the price of
another pass. `mapping.csv` holds the mapping in force.

The second command does it on your own images, one folder a class, with a small model.

As in that paper the prompt starts at zero and is optimised by Adam with learning rate 0.01; it
resizes the image to the inside of the frame, which this config does not. Weights come from the
Hugging Face Hub, `timm/vit_base_patch16_224.augreg_in21k_ft_in1k`. Not yet measured with this code
on CIFAR100. DeiT-Tiny on 600 training images of CIFAR-10's classes goes from 33.0 % to 48.5 % in
ten epochs, where class i for class i (`first_k`) reaches 15.2 %: experiments/README.md.
"""

from vp_jax import config as base


def get_config():
    """Iterative label mapping's optimiser on the paper's prompt."""
    config = base.default()
    config.backbone.name = "vit_b16"
    config.head.name = "iterative"
    config.prompt = "normalize | pad(30, init='zeros')"
    config.batch_size = 128
    config.epochs = 100
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 0.01
    return config
