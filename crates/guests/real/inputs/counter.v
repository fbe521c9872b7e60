// A counter with a small memory and a state machine: something for each pass of a synthesis tool to do.
module counter #(parameter WIDTH = 12) (input clk, input reset, input [3:0] step, output reg [WIDTH-1:0] value, output reg done);
  reg [1:0] state;
  reg [WIDTH-1:0] table_of [0:15];
  integer i;
  initial for (i = 0; i < 16; i = i + 1) table_of[i] = i * i + 1;
  always @(posedge clk)
    if (reset) begin
      state <= 0; value <= 0; done <= 0;
    end else case (state)
      2'd0: begin value <= value + table_of[step]; if (value > 1000) state <= 2'd1; end
      2'd1: begin table_of[step] <= value ^ {WIDTH{1'b1}}; state <= 2'd2; end
      2'd2: begin value <= value * step; done <= value == 0; state <= done ? 2'd0 : 2'd1; end
      default: state <= 2'd0;
    endcase
endmodule
