"""ILM-VP: a frame around the small image, iterative label mapping, ResNet-18, CIFAR100.

    python -m vp_jax.train --config=configs/methods/ilm_frame.py --workdir=runs/ilm_frame
    python -m vp_jax.train --config=configs/methods/ilm_frame.py --workdir=runs/ilm_frame_flowers \
        --config.task.name=oxford_flowers102 --config.prompt="shrink(128) | frame(48)"

Chen et al., "Understanding and Improving Visual Prompting: A Label-Mapping Perspective" (CVPR 2023,
arXiv 2211.11635), for vision models: the image stands in the middle at the size that it is stored
in, 32 pixels of CIFAR, SVHN and GTSRB, and at 128 of all other tasks, and the rest is
sigmoid(theta), grey at first. Before each epoch the classes are mapped to source classes anew,
greedily, by what the model takes the prompted training images for. Adam with learning rate 0.01,
multiplied by 0.1 at 50 % and 72 % of 200 epochs of batch 128, no augmentation.

The released code keeps the epoch that is best on the test data; here it is chosen on a tenth of the
training data. It counts predictions in a pass of its own, which is
`--config.head.second_pass=True` here. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The authors' settings."""
    config = base.default()
    config.backbone.name = "resnet18"
    config.head.name = "iterative"
    config.prompt = "shrink(32) | frame(96)"
    config.batch_size = 128
    config.epochs = 200
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 0.01
    config.schedule.name = "drops"
    return config
