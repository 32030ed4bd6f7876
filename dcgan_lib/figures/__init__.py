"""Every picture and table in the book, in one look.

The generator is orange and the discriminator blue, everywhere; real images stand left of
generated ones. Figures have a light, opaque background, so that they read the same on a light
page and on a dark one. Each function returns a figure or a table; as the last line of a notebook
cell it is shown.
"""

from dcgan_lib.figures.answering import answer_rows as answer_rows
from dcgan_lib.figures.apart import best_discriminator as best_discriminator
from dcgan_lib.figures.apart import gaussians_apart as gaussians_apart
from dcgan_lib.figures.colours import DISCRIMINATOR as DISCRIMINATOR
from dcgan_lib.figures.colours import FADED as FADED
from dcgan_lib.figures.colours import GENERATOR as GENERATOR
from dcgan_lib.figures.colours import PAPER as PAPER
from dcgan_lib.figures.colours import STYLE as STYLE
from dcgan_lib.figures.drawings import Drawing as Drawing
from dcgan_lib.figures.drawings import drawing as drawing
from dcgan_lib.figures.epochs import epoch_player as epoch_player
from dcgan_lib.figures.hinge import margin as margin
from dcgan_lib.figures.latents import latent_explorer as latent_explorer
from dcgan_lib.figures.latents import latent_map as latent_map
from dcgan_lib.figures.live import Live as Live
from dcgan_lib.figures.live import quiz as quiz
from dcgan_lib.figures.live import sprite as sprite
from dcgan_lib.figures.maps import map_explorer as map_explorer
from dcgan_lib.figures.moving import moved_logits as moved_logits
from dcgan_lib.figures.moving import moving_logits as moving_logits
from dcgan_lib.figures.networks import network_drawing as network_drawing
from dcgan_lib.figures.pivoting import pivot as pivot
from dcgan_lib.figures.pixels import pixel_reader as pixel_reader
from dcgan_lib.figures.plots import confusion_picture as confusion_picture
from dcgan_lib.figures.plots import feature_map_picture as feature_map_picture
from dcgan_lib.figures.plots import image_row as image_row
from dcgan_lib.figures.plots import loss_curves as loss_curves
from dcgan_lib.figures.plots import probability_curves as probability_curves
from dcgan_lib.figures.plots import sample_grid as sample_grid
from dcgan_lib.figures.plots import smooth as smooth
from dcgan_lib.figures.plots import tile as tile
from dcgan_lib.figures.sign_test import coins as coins
from dcgan_lib.figures.stamps import even_kernel as even_kernel
from dcgan_lib.figures.stamps import overlap_counts as overlap_counts
from dcgan_lib.figures.stamps import overlap_picture as overlap_picture
from dcgan_lib.figures.stamps import stamping as stamping
from dcgan_lib.figures.tables import Table as Table
from dcgan_lib.figures.tables import architecture_table as architecture_table
from dcgan_lib.figures.tables import results_table as results_table
from dcgan_lib.figures.tables import table as table
from dcgan_lib.figures.toy_game import live_toy_game as live_toy_game
from dcgan_lib.figures.toy_game import toy_path as toy_path
