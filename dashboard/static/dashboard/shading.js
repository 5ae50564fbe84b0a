// A series of lightweight-charts that fills the places of `{time, color}` from top to bottom, without seams between neighbours.

class Renderer {
  update(data) {
    this.data = data;
  }

  draw(target) {
    target.useBitmapCoordinateSpace(({context, bitmapSize, horizontalPixelRatio: ratio}) => {
      const {bars, barSpacing, visibleRange} = this.data;
      if (!visibleRange) return;
      let end = -Infinity;
      for (const {x, barColor} of bars.slice(visibleRange.from, visibleRange.to)) {
        const [from, right] = [x - barSpacing / 2, x + barSpacing / 2].map((edge) => Math.round(edge * ratio));
        // Two roundings of one edge may differ.
        const left = Math.abs(from - end) <= 1 ? end : from;
        end = right;
        context.fillStyle = barColor;
        context.fillRect(left, 0, right - left, bitmapSize.height);
      }
    });
  }
}

export class Shading {
  #renderer = new Renderer();

  renderer() {
    return this.#renderer;
  }

  update(data) {
    this.#renderer.update(data);
  }

  // Shading has no price, and moves no scale.
  priceValueBuilder() {
    return [0];
  }

  // The library asks about places without their colours.
  isWhitespace() {
    return false;
  }

  defaultOptions() {
    return {};
  }
}
